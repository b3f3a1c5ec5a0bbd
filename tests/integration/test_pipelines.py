"""The pipelines in a running scheduler, asked for through Airflow's API."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import trino

from infra.airflow.client import Airflow
from infra.native.paths import REPO
from tests.stack import ingest

STATE = "iceberg.silver.int_loan_applications__state"


@pytest.fixture(scope="module")
def airflow(stack: dict[str, str]) -> Iterator[Airflow]:
    """A lake that the pipelines brought to the source's state; nobody else starts them."""
    ingest("source", "generate", "--rows", "500")
    ingest("stream", "capture")
    pipelines("pause")
    said = pipelines("run", "loan_batch_ingestion", "--then", "loan_etl", "--full")
    assert "loan_etl: ok" in said
    yield Airflow(stack)
    pipelines("pause")


def pipelines(*arguments: str, ok: bool = True) -> str:
    command = [sys.executable, "-m", "infra.airflow", *arguments]
    done = subprocess.run(command, cwd=REPO, text=True, capture_output=True, check=False)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def lake(stack: dict[str, str], sql: str) -> list[Any]:
    connection = trino.dbapi.connect(stack["TRINO_HOST"], int(stack["TRINO_PORT"]), user="admin")
    return list(connection.cursor().execute(sql).fetchall())


def newest(airflow: Airflow, pipeline: str) -> dict[str, Any]:
    """The tasks by name of the newest run that no schedule started."""
    ours = (one for one in airflow.runs(pipeline) if one["run_type"] != "scheduled")
    run = next(ours)["dag_run_id"]
    return {task["task_id"]: task for task in airflow.tasks(pipeline, run)}


def test_a_batch_starts_the_etl_and_the_lake_is_the_sources_equal(
    airflow: Airflow, stack: dict[str, str]
) -> None:
    tasks = newest(airflow, "loan_etl")
    assert {task["state"] for task in tasks.values()} == {"success"}
    [[features]] = lake(stack, "select count(*) from iceberg.gold.loan_features")
    [[silver]] = lake(stack, "select count(*) from iceberg.silver.loan_applications")
    assert features == silver > 400


def test_a_backfill_of_what_did_not_change_changes_nothing(
    airflow: Airflow, stack: dict[str, str]
) -> None:
    content = f"select count(*), checksum(row(application_id, _version_id)) from {STATE}"
    before = lake(stack, content)
    manifests = "select count(*) from hive.bronze.batch_snapshots where dt >= current_date"
    [[landed]] = lake(stack, manifests)
    said = pipelines("backfill", "--from", "2026-11-20", "--to", "2026-11-21")
    assert said.count(": ok") == 2
    assert lake(stack, manifests) == [[landed + 2]]
    pipelines("run", "loan_etl")
    assert lake(stack, content) == before


def test_maintenance_says_what_the_commands_say(airflow: Airflow) -> None:
    """Other tests may have left dead letters, of which it is to speak."""
    command = [sys.executable, "-m", "ingestion", "stream", "status"]
    status = subprocess.run(command, cwd=REPO, check=False)
    pipelines("run", "lakehouse_maintenance", ok=status.returncode == 0)
    tasks = newest(airflow, "lakehouse_maintenance")
    assert tasks["upkeep"]["state"] == "success"
    assert tasks["stream"]["state"] == ("failed" if status.returncode else "success")


def test_a_pipeline_that_is_none_is_refused() -> None:
    assert "404" in pipelines("run", "no_such", ok=False)
