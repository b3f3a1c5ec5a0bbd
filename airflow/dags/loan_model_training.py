"""Gold to a registered model: weekly, by hand, and whenever the asset `model.retrain` is raised.

The commands decide: a version that passes the gates becomes champion, another one stays
challenger, and the run is green in both cases. Then the champion scores what is new.
"""

from airflow.sdk import DAG, Asset, AssetOrTimeSchedule

from include.common import DEFAULTS, RETRAIN, TRINO_POOL, command, cron

MODEL = Asset(name="model.loan_approval", uri="lakehouse://model/loan_approval")

with DAG(
    dag_id="loan_model_training",
    description="Gold to a registered model, judged and promoted; then its scores",
    doc_md=__doc__,
    schedule=AssetOrTimeSchedule(timetable=cron("0 5 * * 0"), assets=[RETRAIN]),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["model", "gold"],
):
    # Tried once again at most: what fails here seldom passes a minute later.
    train = command("train", "python -O -m ml train", outlets=[MODEL], retries=1)
    score = command("score", "python -O -m ml score --if-champion")
    show = command("show_scores", "dbt build --select tag:scores", "dbt_project", pool=TRINO_POOL)
    train >> score >> show
