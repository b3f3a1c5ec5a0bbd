"""The pipelines as Airflow reads them: without work, and with what a person looks for."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from include import dbt_manifest
from infra.airflow.__main__ import PIPELINES
from infra.paths import INFRA, REPO

# What a pipeline's task needs, not the file that says when it runs.
SLOW_IMPORTS = {
    "boto3",
    "dbt",
    "feast",
    "ingestion",
    "kafka",
    "pandas",
    "psycopg2",
    "pyarrow",
    "trino",
}

# What the executor's process knows and does when its workers are forked.
WARM = """
import json, signal, sys
from airflow.executors.local_executor import LocalExecutor
from infra.airflow.executor import WarmExecutor
def fork(_):
    default = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    print(json.dumps({"modules": sorted(sys.modules), "obeys": default}))
LocalExecutor.start = fork
signal.signal(signal.SIGTERM, signal.SIG_IGN)
WarmExecutor(parallelism=1).start()
assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
"""


def parse(repo: Path = REPO) -> Any:
    """What Airflow makes of the files; without a service, and without settings."""
    return in_airflow(repo, str(Path(__file__).parent / "parse.py"))


def in_airflow(repo: Path, *arguments: str) -> Any:
    """What a Python program prints in Airflow's environment, as JSON, in its last line."""
    done = subprocess.run(
        [REPO / ".venv-airflow/bin/python", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "REPO": str(repo),
            "PYTHONPATH": f"{repo}:{repo}/airflow",
            "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"],
            "AIRFLOW_CONFIG": str(INFRA / "airflow/airflow.cfg"),
            "BIND_HOST": "127.0.0.1",
            "DBT_DOCS_PORT": "8081",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        },
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    os.environ["AIRFLOW_HOME"] = str(tmp_path_factory.mktemp("airflow"))
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv("TRINO_HOST", "nowhere")
        settings.setenv("TRINO_PORT", "1")
        dbt_manifest.refresh()
    return parse()


@pytest.fixture(scope="module")
def forked(parsed: Any) -> Any:
    return in_airflow(REPO, "-c", WARM)


def test_every_file_becomes_a_pipeline(parsed: Any) -> None:
    assert parsed["errors"] == {}
    assert sorted(parsed["pipelines"]) == [
        "lakehouse_maintenance",
        "loan_batch_ingestion",
        "loan_etl",
        "loan_model_training",
    ]
    assert sorted(parsed["pipelines"]) == PIPELINES


def test_pipelines_say_what_they_are_and_whose(parsed: Any) -> None:
    for pipeline in parsed["pipelines"].values():
        assert pipeline["description"] and pipeline["doc"] and pipeline["tags"]
        assert (pipeline["catchup"], pipeline["max_active_runs"]) == (False, 1)
        # Sorted, so without a cycle.
        assert set(pipeline["order"]) == set(pipeline["tasks"])
        for name, task in pipeline["tasks"].items():
            assert task["owner"] == "data-platform", name


def test_what_fails_is_tried_again(parsed: Any) -> None:
    for pipeline in parsed["pipelines"].values():
        for name, task in pipeline["tasks"].items():
            # dbt's own run is not: those who watch it do its work again, each its own.
            assert task["retries"] or "dbt_producer_watcher" in name, name


def test_reading_the_files_does_no_work(parsed: Any) -> None:
    assert parsed["work"] == {}
    assert {name.partition(".")[0] for name in parsed["imported"]}.isdisjoint(SLOW_IMPORTS)


def test_every_model_is_a_task_downstream_of_its_parents(parsed: Any) -> None:
    tasks = parsed["pipelines"]["loan_etl"]["tasks"]
    nodes = json.loads((dbt_manifest.FOLDER / "manifest.json").read_text())["nodes"].values()
    models = {
        node["name"]
        for node in nodes
        if node["resource_type"] == "model" and "scores" not in node["tags"]
    }
    runs = {
        name.removeprefix("dbt.").replace(".", "_").removesuffix("_run"): name
        for name in tasks
        if name.endswith("run")
    }
    assert set(runs) == models
    after = tasks[runs["loan_applications"]]["after"]
    assert "dbt.int_loan_applications__state.test" in after


def test_a_test_counts_for_the_last_of_its_models(parsed: Any) -> None:
    counted = parsed["counted"]
    tests = [test for ones in counted.values() for test in ones]
    assert len(tests) == len(set(tests)) > 50
    [last] = [model for model, ones in counted.items() if any("_history_ends_" in t for t in ones)]
    assert last == "model.loan_lakehouse.loan_application_history"


def test_a_models_tasks_lead_to_its_documentation(parsed: Any) -> None:
    docs = parsed["pipelines"]["loan_etl"]["tasks"]["dbt.loan_features.run"]["doc"]
    assert "http://127.0.0.1:8081/#!/model/model.loan_lakehouse.loan_features" in docs


def test_what_needs_silver_and_gold_at_rest_holds_the_one_slot(parsed: Any) -> None:
    writers = {
        name
        for pipeline in parsed["pipelines"].values()
        for name, task in pipeline["tasks"].items()
        if task["pool"] == "trino"
    }
    pools = json.loads((REPO / "airflow/include/pools.json").read_text())
    assert pools["trino"]["slots"] == 1
    assert writers == {
        "dbt.dbt_producer_watcher",
        "upkeep",
        "test_whole_history",
        "show_scores",
        "marts",
    }


def test_maintenance_looks_after_stream_flink_and_model(parsed: Any) -> None:
    tasks = parsed["pipelines"]["lakehouse_maintenance"]["tasks"]
    assert {"stream", "streamed_features", "model"} <= tasks.keys()


def test_a_task_finds_libraries_imported_and_reads_our_files_again(forked: Any) -> None:
    known = set(forked["modules"])
    assert {"cosmos", "airflow.providers.standard.operators.bash"} <= known
    assert not {"include", "include.dbt_manifest", "infra.airflow"} & known


def test_a_worker_without_its_scheduler_can_be_ended(forked: Any) -> None:
    assert forked["obeys"]


def test_the_error_of_a_stale_graph_has_a_hint(parsed: Any, tmp_path: Path) -> None:
    for folder in ("airflow", "infra", "ingestion"):
        shutil.copytree(REPO / folder, tmp_path / folder)
    shutil.copytree(REPO / "dbt_project", tmp_path / "dbt_project")
    model = tmp_path / "dbt_project/models/silver/loan_applications.sql"
    model.write_text(model.read_text() + "-- changed\n")
    errors = parse(tmp_path)["errors"]
    [error] = [text for file, text in errors.items() if file.endswith("loan_etl.py")]
    assert "dbt's files have changed" in error
    assert "make up" in error
