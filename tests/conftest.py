"""Tests run on a real stack of their own, but the unit tests and those of other runtimes.

While you write tests, `pytest --keep-stack` reuses it and leaves it running.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser

from infra.paths import REPO
from tests.browser import chromium
from tests.integration.small_lake import SmallLake, small_lake
from tests.stack import own_stack

pytest_plugins = ["tests.budget", "tests.folder_times"]

WITHOUT_STACK = {REPO / "tests/unit", REPO / "tests/docker", REPO / "tests/kubernetes"}

# Shorter than for users, for whom infra/airflow/airflow.cfg has minutes.
FAST_AIRFLOW_RETRIES = {
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
}

# Both would judge the machine: a fresh clone builds Unicode tables at first use.
settings.register_profile("lakehouse", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lakehouse")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-stack", action="store_true", help="reuse the services, leave them up")
    parser.addoption("--screenshots", action="store_true", help="take the README's again")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if WITHOUT_STACK.isdisjoint(item.path.parents):
            item.fixturenames.insert(0, "stack")  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The settings of a running stack, which are also in the environment."""
    os.environ.update(FAST_AIRFLOW_RETRIES)
    keep = request.config.getoption("--keep-stack")
    # Tests that need Flink start it: it would follow all changes of all others.
    with own_stack(".lakehouse-test", keep=keep, without="flink") as running:
        yield running


@pytest.fixture(scope="session")
def lake_to_read(stack: dict[str, str]) -> Iterator[SmallLake]:
    """The lake of all tests that leave it as it is. `dbt build` was run over it, with its tests."""
    with small_lake() as lake:
        build = lake.dbt("build")
        assert build.returncode == 0, build.stdout
        yield lake


@pytest.fixture(scope="module")  # and no longer: its event loop would be in others' way
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running
