"""Keeps the lake small and looks after the stream.

Each task fails when a threshold is passed, and its log says what to do.
"""

from airflow.sdk import DAG
from lakehouse import DEFAULTS, command, cron

from infra.airflow import TRINO_POOL

with DAG(
    dag_id="lakehouse_maintenance",
    description="Compacts tables, drops what is old, checks stream, replication slot, dead letters",
    doc_md=__doc__,
    schedule=cron("0 1 * * *"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    tags=["maintenance"],
):
    command("upkeep", "python -m infra.upkeep", pool=TRINO_POOL)
    command("stream", "python -m ingestion stream status")
