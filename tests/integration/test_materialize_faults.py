"""A materialisation that is killed in the middle: nothing half-written is served as whole."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from feast import FeatureStore
from psycopg import sql

from feast_repo.consistency import differences
from feast_repo.store import online_store
from infra.native.stack import Supervisor
from infra.paths import REPO
from infra.provision import environment
from tests.integration.served_lake import command, make_gold, materialize_views, served
from tests.integration.small_lake import SmallLake, small_lake

pytestmark = pytest.mark.slow

GOLD_HUNDREDS = 2_000
NUMBERS = ["applicant:annual_income", "loan:loan_amount", "credit_history:credit_score"]


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    with small_lake() as lake:
        make_gold(lake, GOLD_HUNDREDS, number=1)
        yield lake


@pytest.fixture(scope="module")
def store(lake: SmallLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    with served(lake, tmp_path_factory.mktemp("feast")) as repo:
        store = FeatureStore(repo_path=str(repo))
        materialize_views(store)
        yield store


def served_numbers(store: FeatureStore) -> set[tuple[float, ...]]:
    """What the three tables hold, of every application."""
    statement = sql.SQL(
        "select distinct annual_income, loan_amount, credit_score from {} join {} using"
        " (application_id) join {} using (application_id)"
    ).format(
        *(
            sql.Identifier(f"{store.project}_{view}")
            for view in ("applicant", "loan", "credit_history")
        )
    )
    with online_store(store).connection(store.config) as connection:
        return {tuple(map(float, row)) for row in connection.execute(statement)}


def is_copying(store: FeatureStore) -> bool:
    """Another session is in the middle of a COPY of our last table: two are written."""
    with online_store(store).connection(store.config) as connection:
        cursor = connection.execute(
            "select 1 from pg_stat_progress_copy where relid = %s::regclass"
            " and tuples_processed > 1000",
            (f"{store.project}_loan",),
        )
        return cursor.fetchone() is not None


def start() -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "feast_repo.materialize"]
    return subprocess.Popen(
        arguments, cwd=REPO, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_until_copying(store: FeatureStore, process: subprocess.Popen[str]) -> None:
    while not is_copying(store):
        assert process.poll() is None, "it was done before it could be met"


def test_killed_in_the_middle_it_leaves_what_was_there(
    lake: SmallLake, store: FeatureStore
) -> None:
    make_gold(lake, GOLD_HUNDREDS, number=2)
    process = start()
    wait_until_copying(store, process)
    process.kill()
    process.communicate()
    assert served_numbers(store) == {(1.0, 1.0, 1.0)}
    # The next run does all of it, and one after that nothing.
    done = command("materialize")
    assert done.returncode == 0, done.stderr
    assert "200,000 rows written" in done.stdout
    assert served_numbers(store) == {(2.0, 2.0, 2.0)}
    assert command("materialize").stdout.count("nothing new") == 3


def test_with_postgresql_killed_it_fails_and_leaves_what_was_there(
    lake: SmallLake, store: FeatureStore
) -> None:
    make_gold(lake, GOLD_HUNDREDS, number=3)
    postgres = Supervisor(environment()).info("postgres")["pid"]
    process = start()
    wait_until_copying(store, process)
    os.kill(postgres, signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "\nerror: " in f"\n{errors}"
    assert "Traceback" not in errors
    deadline = time.monotonic() + 60
    while True:
        try:
            assert served_numbers(store) == {(2.0, 2.0, 2.0)}
            break
        except psycopg.Error:  # it recovers
            assert time.monotonic() < deadline
    assert command("materialize").returncode == 0
    assert served_numbers(store) == {(3.0, 3.0, 3.0)}
    assert list(differences(store)) == []


def test_a_reader_never_sees_half_of_it(lake: SmallLake, store: FeatureStore) -> None:
    """Nor the views at different times: all are read by one statement."""
    make_gold(lake, GOLD_HUNDREDS, number=4)
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            features = store.get_online_features(
                features=NUMBERS, entity_rows={"application_id": [1, 100_000, 200_000]}
            ).to_dict()
            names = (name.split(":")[1] for name in NUMBERS)
            seen.add(tuple(float(value) for name in names for value in features[name]))

    reader = threading.Thread(target=read)
    reader.start()
    materialize_views(store)
    while (4.0,) * 9 not in seen:
        assert reader.is_alive()
    stop.set()
    reader.join()
    assert seen == {(3.0,) * 9, (4.0,) * 9}


def test_two_at_once_do_the_work_once(lake: SmallLake, store: FeatureStore) -> None:
    make_gold(lake, GOLD_HUNDREDS, number=5)
    both = [start(), start()]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(output.count("nothing new") for output in outputs) == [0, 3]
    assert served_numbers(store) == {(5.0, 5.0, 5.0)}
