"""The pipelines in a running scheduler, asked for through Airflow's web UI and its API."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from airflow_client.client import DagRunType
from playwright.sync_api import Browser, Locator, Page, expect

from infra.airflow.__main__ import PIPELINES
from infra.airflow.client import ENDED, Airflow
from infra.native.stack import Supervisor
from infra.paths import REPO
from infra.provision import environment
from tests.browser import clean_page
from tests.faults.dbt import build_silver
from tests.faults.scene import Scene
from tests.stack import ingest, native, query_trino

STATE = "iceberg.silver.int_loan_applications__state"
PICTURE = REPO / "airflow/assets/loan_etl.png"
# The page asks for its settings before anybody has logged in.
KNOWN = "401"


@pytest.fixture(scope="module")
def airflow(stack: dict[str, str]) -> Iterator[Airflow]:
    """A source that is followed; no schedule starts anything."""
    ingest("source", "generate", "--rows", "500")
    ingest("stream", "capture")
    pipelines("pause")
    yield Airflow(stack)
    pipelines("pause")


def pipelines(*arguments: str, ok: bool = True) -> str:
    with started(*arguments) as process:
        printed = str(process.communicate()[0])
    assert (process.returncode == 0) is ok, printed
    return printed


def started(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "infra.airflow", *arguments]
    return subprocess.Popen(
        command, cwd=REPO, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def newest(airflow: Airflow, pipeline: str) -> str:
    """The newest run that no schedule started; empty if there is none."""
    ours = (one for one in airflow.runs(pipeline) if one.run_type != DagRunType.SCHEDULED)
    return next((run.dag_run_id for run in ours), "")


def states(airflow: Airflow, pipeline: str, run: str | None = None) -> dict[str, str]:
    """What became of each task of a run, or the newest; dbt's without their group's name."""
    tasks = airflow.tasks(pipeline, run or newest(airflow, pipeline))
    return {task.task_id.removeprefix("dbt."): task.state or "" for task in tasks}


def wait_for(airflow: Airflow, pipeline: str, task: str, state: str, since: str) -> str:
    """Wait until a task of the run that follows `since` comes to a state; the run."""
    while (run := newest(airflow, pipeline)) == since:
        time.sleep(0.5)
    while True:
        ended = airflow.state(pipeline, run) in ENDED
        if states(airflow, pipeline, run).get(task) == state:
            return run
        assert not ended, f"{pipeline} has ended, and {task} was not {state}"
        time.sleep(0.5)


def wait_for_statements(settings: Mapping[str, str], number: int) -> None:
    """Wait until a run of dbt that starts now has sent so many statements to Trino."""
    [[began]] = query_trino(settings, "select cast(current_timestamp as varchar)")
    sent = (
        "select count(*) from system.runtime.queries"
        f" where source like 'dbt-trino-%' and created > timestamp '{began}'"
    )
    while query_trino(settings, sent)[0][0] < number:
        time.sleep(0.2)


def test_a_batch_and_the_etl_it_starts_make_silver_equal_the_source(
    airflow: Airflow, stack: dict[str, str]
) -> None:
    pipelines("run", "loan_batch_ingestion", "--then", "loan_etl")
    assert set(states(airflow, "loan_etl").values()) == {"success"}
    ingest("reconcile")
    [[features]] = query_trino(stack, "select count(*) from iceberg.gold.loan_features")
    [[silver]] = query_trino(stack, "select count(*) from iceberg.silver.loan_applications")
    assert features == silver > 400
    assert "gold.historical_features" in lineage(stack, of="gold.loan_features")
    bronze = "hive.bronze.loan_applications"
    assert bronze in lineage(stack, of="silver.stg_loan_applications_batch")
    assert lineage(stack, of=bronze) == {f"{stack['SOURCE_DB']}.public.loan_applications"}


def lineage(stack: dict[str, str], of: str) -> set[str]:
    """What the table is made of, by the events that a lineage tool would get."""
    file = Path(stack["LAKEHOUSE_STATE"], "airflow/lineage.jsonl")
    events = [json.loads(line) for line in file.read_text().splitlines()]
    return {
        source["name"].removeprefix("iceberg.")
        for event in events
        for target in event["outputs"]
        if target["name"].endswith(of)
        for source in event["inputs"]
    }


def test_a_failing_test_skips_downstream_models_and_is_named(
    airflow: Airflow, stack: dict[str, str]
) -> None:
    assert build_silver().returncode == 0  # or a change would meet the row, and dbt fail before
    kept = "iceberg.silver.kept"
    query_trino(stack, f"create table {kept} as select * from {STATE} where application_id = 7")
    query_trino(stack, f"insert into {STATE} select * from {kept}")
    try:
        printed = pipelines("run", "loan_etl", ok=False)
    finally:
        query_trino(stack, f"delete from {STATE} where application_id = 7")
        query_trino(stack, f"insert into {STATE} select * from {kept}")
        query_trino(stack, f"drop table {kept}")
    after = states(airflow, "loan_etl")
    assert after["int_loan_applications__state.test"] == "failed"
    assert after["loan_applications.run"] == after["loan_features.run"] == "upstream_failed"
    assert after["materialize_features"] == after["reconcile"] == "upstream_failed"
    failed = {task for task, state in after.items() if state == "failed"}
    assert failed == {"int_loan_applications__state.test"}
    assert "unique_int_loan_applications__state_application_id" in printed
    assert "dbt_test_failures" in printed


def test_a_pipeline_that_is_none_is_refused() -> None:
    assert "404" in pipelines("run", "no_such", ok=False)


@pytest.mark.slow
def test_a_batch_started_in_the_web_ui_starts_the_etl_and_both_are_seen(
    airflow: Airflow, stack: dict[str, str], browser: Browser, request: pytest.FixtureRequest
) -> None:
    with clean_page(browser, KNOWN) as page:
        log_in(page, airflow.url, stack)
        for pipeline in PIPELINES:
            show_graph(page, airflow, pipeline)
        known = newest(airflow, "loan_etl")
        page.goto(f"{airflow.url}/dags/loan_etl")
        page.get_by_test_id("toggle-pause").click()
        page.goto(f"{airflow.url}/dags/loan_batch_ingestion")
        page.get_by_role("button", name="Trigger Dag").click()
        page.get_by_role("dialog").get_by_role("button", name="Trigger", exact=True).click()
        run = see_it_turn_green(page, airflow, known)
        show_models(page, airflow)
        if request.config.getoption("--screenshots"):
            page.screenshot(path=PICTURE)
    pipelines("pause")
    assert set(states(airflow, "loan_etl", run).values()) == {"success"}


def log_in(page: Page, url: str, stack: dict[str, str]) -> None:
    page.goto(url)
    page.locator("input[name=username]").fill(stack["AIRFLOW_ADMIN_USER"])
    page.locator("input[name=password]").fill(stack["AIRFLOW_ADMIN_PASSWORD"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")


def show_graph(page: Page, airflow: Airflow, pipeline: str) -> None:
    """Every task is a box of the graph."""
    page.goto(f"{airflow.url}/dags/{pipeline}")
    page.get_by_role("button", name="Show Graph").click()
    if any("." in task for task in airflow.task_ids(pipeline)):
        page.get_by_role("button", name="Expand all task groups").click()
    expect_boxes(page, airflow, pipeline)


def expect_boxes(page: Page, airflow: Airflow, pipeline: str) -> None:
    for task in airflow.task_ids(pipeline):
        expect(box(page, task)).to_be_attached()


def box(page: Page, task: str) -> Locator:
    return page.locator(f".react-flow__node[data-id='{task}']")


def show_models(page: Page, airflow: Airflow) -> None:
    """The whole graph of loan_etl, with one box for a model and its tests, and nothing else."""
    page.get_by_role("button", name="Collapse all task groups").click()
    box(page, "dbt").get_by_role("button").click()
    page.get_by_role("button", name="Collapse Details Panel").click()
    tasks = airflow.task_ids("loan_etl")
    for task in tasks:
        if task.count(".") > 1:
            expect(box(page, task)).to_have_count(0)
    page.get_by_role("button", name="Fit View").click()
    for name in {".".join(task.split(".")[:2]) for task in tasks}:
        expect(box(page, name)).to_be_in_viewport(ratio=0.99)  # rounded


def see_it_turn_green(page: Page, airflow: Airflow, known: str) -> str:
    page.goto("about:blank")  # it would look for news all the time
    run = wait_for(airflow, "loan_etl", "reconcile", "success", known)
    page.goto(f"{airflow.url}/dags/loan_etl/runs/{run}")
    expect(page.get_by_text("Success").first).to_be_visible()
    page.set_viewport_size({"width": 2600, "height": 1200})
    expect_boxes(page, airflow, "loan_etl")
    return run


@pytest.mark.slow
def test_a_backfill_of_what_did_not_change_changes_nothing(
    airflow: Airflow, stack: dict[str, str]
) -> None:
    content = f"select count(*), checksum(row(application_id, _version_id)) from {STATE}"
    before = query_trino(stack, content)
    [[today]] = query_trino(stack, "select cast(current_date as varchar)")
    manifests = f"select count(*) from hive.bronze.batch_snapshots where dt >= date '{today}'"
    [[landed]] = query_trino(stack, manifests)
    printed = pipelines(
        "backfill", "loan_batch_ingestion", "--from", "2026-11-20", "--to", "2026-11-21"
    )
    assert printed.count(": ok") == 2
    assert query_trino(stack, manifests) == [[landed + 2]]
    assert build_silver().returncode == 0
    assert query_trino(stack, content) == before


@pytest.mark.slow
def test_without_minio_a_batch_fails_and_succeeds_once_cleared(airflow: Airflow) -> None:
    Supervisor(environment()).rpc().supervisor.stopProcess("minio")
    try:
        printed = pipelines("run", "loan_batch_ingestion", "--full", ok=False)
    finally:
        native("up", "minio")
    assert "cannot reach the object store" in printed
    assert "python -m infra.airflow clear loan_batch_ingestion" in printed
    pipelines("clear", "loan_batch_ingestion")


@pytest.mark.slow
def test_what_was_killed_in_the_middle_is_done_in_the_end(
    airflow: Airflow, stack: dict[str, str]
) -> None:
    """Trino while dbt runs, the scheduler while the tasks do what that dbt has left."""
    scene, known = Scene(environment(), random.Random(0)), newest(airflow, "loan_etl")
    with started("run", "loan_etl") as process:
        wait_for_statements(stack, 40)  # of some ninety
        scene.kill("trino")
        wait_for(airflow, "loan_etl", "dbt_producer_watcher", "skipped", known)
        scene.kill("airflow-scheduler")
        printed, _ = process.communicate()
    assert process.returncode == 0, printed
    assert set(states(airflow, "loan_etl").values()) == {"success", "skipped"}
    ingest("reconcile")


@pytest.mark.slow
def test_maintenance_fails_if_its_commands_fail(airflow: Airflow) -> None:
    """Other tests may have left dead letters, and a champion of a lake that was another."""

    def code(*arguments: str) -> int:
        return subprocess.run([sys.executable, *arguments], cwd=REPO, check=False).returncode

    stream = code("-m", "ingestion", "stream", "status")
    flink = code("-m", "streaming", "status")
    run = code("-m", "infra.airflow", "run", "lakehouse_maintenance")
    model = code("-O", "-m", "ml", "monitor", "--last")
    after = states(airflow, "lakehouse_maintenance")
    assert after["upkeep"] == after["test_whole_history"] == after["marts"] == "success"
    assert after["stream"] == ("failed" if stream else "success")
    assert after["streamed_features"] == ("failed" if flink else "success")
    assert after["model"] == ("failed" if model else "success")
    assert after["retrain"] == ("success" if model else "skipped")
    assert bool(run) == bool(stream or flink or model)
