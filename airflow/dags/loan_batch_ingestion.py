"""Source to bronze by batch: one snapshot of each table of `ingestion/tables.yml`.

Each run continues where the last successful one ended. A backfill reads its intervals
again as they are now, and does not move the cursor.
"""

from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

from include import lineage
from include.common import BRONZE, COMMAND, DEFAULTS, TABLES, command, cron

INTERVAL = (
    "{{ '--from ' ~ (data_interval_start | ts) ~ ' --to ' ~ (data_interval_end | ts)"
    " if dag_run.run_type == 'backfill' and params.mode == 'incremental' else '' }}"
)

with DAG(
    dag_id="loan_batch_ingestion",
    description="Source to bronze: a snapshot of every table, whole or what changed since the last",
    doc_md=__doc__,
    schedule=cron("0 3 * * *", interval=timedelta(days=1)),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["bronze", "batch"],
    params={
        "mode": Param(
            "incremental",
            enum=["incremental", "full"],
            description="The rows changed since the last snapshot, or every row: that also"
            " finds deletions that the stream did not capture.",
        )
    },
):
    land = BashOperator.partial(
        task_id="land",
        bash_command="python -m ingestion batch --table $TABLE --mode {{ params.mode }} "
        + INTERVAL,
        map_index_template="{{ task.env['TABLE'] }}",
        **COMMAND,
    ).expand(env=[{"TABLE": name} for name in TABLES])
    show = command("show_to_trino", "python -m ingestion bronze-tables")
    verify = command(
        "verify", "python -m ingestion verify", outlets=BRONZE, on_success_callback=lineage.landed
    )
    land >> show >> verify
