"""Keeps the lake small, tests the whole history, and looks after stream, Flink's job and model.

Each task fails when a threshold is passed, and its log says what to do.
"""

from airflow.sdk import DAG, TriggerRule

from include.common import DEFAULTS, RETRAIN, TRINO_POOL, command, cron

# Other variables make dbt parse everything: in its own target folder, so that `loan_etl`
# still parses only what has changed.
WHOLE_HISTORY = (
    "dbt test --select tag:history --vars 'test_whole_tables: true'"
    " --target-path target/whole_history"
)

with DAG(
    dag_id="lakehouse_maintenance",
    description="Compacts tables, drops what is old, tests the history, checks the stream",
    doc_md=__doc__,
    schedule=cron("0 1 * * *"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["maintenance"],
):
    command("upkeep", "python -m infra.upkeep", pool=TRINO_POOL)
    # In the pool, too: halfway through a run of dbt, history is not yet what the state says.
    command("test_whole_history", WHOLE_HISTORY, "dbt_project", pool=TRINO_POOL)
    command("stream", "python -m ingestion stream status")
    # Skipped where Flink is left out.
    command("streamed_features", "python -m streaming status")
    marts = command("marts", "dbt build --select tag:scores", "dbt_project", pool=TRINO_POOL)
    # Skipped, and the asset not raised, if there is no alarm.
    retrain = command("retrain", "python -O -m ml monitor --retrain", outlets=[RETRAIN])
    # Last, so that an alarm is a failed run.
    model = command(
        "model", "python -O -m ml monitor --last", trigger_rule=TriggerRule.NONE_FAILED, retries=1
    )
    marts >> retrain >> model
