"""What the pipelines have in common: who owns them, how a task calls a command."""

from datetime import timedelta
from typing import Any

import yaml
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Asset, CronTriggerTimetable

from include import REPO

# Its one slot is for tasks that write silver and gold, or rewrite their files (pools.json).
TRINO_POOL = "trino"
# What is ingested, by ingestion's own declaration.
INGESTED = yaml.safe_load((REPO / "ingestion/tables.yml").read_text())
TABLES = [table["name"] for table in INGESTED["tables"]]
# Bronze has new rows: one asset a table.
BRONZE = [Asset(name=f"bronze.{name}", uri=f"lakehouse://bronze/{name}") for name in TABLES]
# Raised by monitoring: a model is to be trained.
RETRAIN = Asset(name="model.retrain", uri="lakehouse://model/retrain")
# How often and after what time a task is tried again: infra/airflow/airflow.cfg.
DEFAULTS: dict[str, Any] = {"owner": "data-platform", "retry_exponential_backoff": 2.0}
# A task is a command line of ours, in the environment of Airflow's own processes; its
# exit code is the task's.
COMMAND: dict[str, Any] = {"cwd": str(REPO), "append_env": True}


def cron(expression: str, interval: timedelta = timedelta()) -> CronTriggerTimetable:
    """A schedule by UTC; one that is switched on begins with its next time, not with its last."""
    return CronTriggerTimetable(
        expression, timezone="UTC", interval=interval, run_immediately=timedelta()
    )


def command(
    task_id: str,
    line: str,
    folder: str = ".",
    **options: Any,  # noqa: ANN401 (BashOperator's)
) -> BashOperator:
    """A task that runs a command line in a folder of the project."""
    where = {**COMMAND, "cwd": str(REPO / folder)}
    return BashOperator(task_id=task_id, bash_command=line, **where, **options)
