"""One fold at a time: however dbt is started, two runs do not fold at once."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import trino

from infra.fold_lock import FoldLock
from tests.integration.changes import eventually
from tests.integration.small_lake import WITHOUT_TESTS, SmallLake, small_lake

SILVER = ("build", "--select", "+silver", *WITHOUT_TESTS)
WAITS = "Waiting for another run that is folding: a test, since 20"
SCORE = "select credit_score from {}.loan_applications where application_id = 2"
# A snapshot after those of the small lake.
NEXT_MANIFEST = """
insert into {bronze}.batch_snapshots
select
    'incremental-4', table_name, mode, lsn + 10, xmin, xmax, xip, '2026-01-03T20:00:00Z',
    '2026-01-03T20:00:00Z', bigint '1', byte_count, date '2026-01-03'
from {bronze}.batch_snapshots where snapshot_id = 'incremental-3'
"""
NEXT_ROW = """
insert into {bronze}.loan_applications
select
    application_id, person_age, person_gender, person_education, person_income, person_emp_exp,
    person_home_ownership, loan_amnt, loan_intent, loan_int_rate, loan_percent_income,
    cb_person_cred_hist_length, 802, previous_loan_defaults_on_file, loan_status, created_at,
    updated_at, 'incremental-4', _unreadable, date '2026-01-03'
from {bronze}.loan_applications where application_id = 2 and _snapshot_id = 'incremental-3'
"""


@pytest.fixture
def lake() -> Iterator[SmallLake]:
    with small_lake() as lake:
        yield lake


def query_as_dbt(sql: str) -> list[list[Any]]:
    """Without dbt's source: it is another program that takes the lock."""
    with trino.dbapi.connect(
        os.environ["TRINO_HOST"], int(os.environ["TRINO_PORT"]), user="dbt", source="test"
    ) as connection:
        return list(connection.cursor().execute(sql).fetchall())


def lock_of(lake: SmallLake) -> FoldLock:
    return FoldLock(query_as_dbt, "iceberg", f"{lake.prefix}silver", "a test")


def make_schema(lake: SmallLake) -> None:
    location = f"s3://{os.environ['SILVER_BUCKET']}/_{lake.prefix}silver/"
    query_as_dbt(f"create schema {lake.silver} with (location = '{location}')")


@contextmanager
def running(lake: SmallLake, wait_seconds: int = 35) -> Iterator[subprocess.Popen[str]]:
    """A fold in a process of its own, which is killed at the end."""
    with subprocess.Popen(
        lake.command(*SILVER, fold_lock_wait_seconds=wait_seconds),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def statements_of_models(lake: SmallLake) -> list[list[Any]]:
    """Begin and end of the statements with which each run wrote a model of the fold."""
    return lake.query(
        'select regexp_extract(query, \'"run": "([^"]+)\', 1) as run, min(created), max("end")'
        " from system.runtime.queries"
        ' where query like \'%"node_id": "model.loan_lakehouse.int_%\''
        f" and query like '%{lake.prefix}silver%' and source like 'dbt-trino-%' group by 1"
    )


def is_held(lake: SmallLake) -> bool:
    return bool(lake.query(f"show tables from {lake.silver} like 'fold_lock'"))


@contextmanager
def held_by_a_test(lake: SmallLake) -> Iterator[None]:
    """The lock, by a holder that sends Trino a statement twice a second."""
    lock, ended = lock_of(lake), threading.Event()

    def send_heartbeats() -> None:
        while not ended.wait(0.5):
            query_as_dbt(f"{lock.mark}select 1")

    with lock.attempt() as held, ThreadPoolExecutor(1) as pool:
        assert held
        heartbeats = pool.submit(send_heartbeats)
        try:
            yield
        finally:
            ended.set()
            heartbeats.result()


def test_a_second_run_waits_until_the_lock_is_released(lake: SmallLake) -> None:
    make_schema(lake)
    with running(lake, wait_seconds=600) as second:
        assert second.stdout
        with held_by_a_test(lake):
            assert any(WAITS in line for line in second.stdout)
        printed, _ = second.communicate()
    assert second.returncode == 0, printed
    assert lake.query(SCORE.format(lake.silver)) == [[702]]
    assert not is_held(lake)


@pytest.mark.slow
def test_two_runs_do_not_fold_at_once(lake: SmallLake) -> None:
    same_lake = replace(lake, folder=lake.folder / "other")
    with running(lake, wait_seconds=600) as one, running(same_lake, wait_seconds=600) as other:
        printed = [run.communicate()[0] for run in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), printed
    first, second = sorted(statements_of_models(lake), key=lambda run: run[1])
    assert first[2] < second[1]


def test_a_run_that_cannot_have_the_lock_names_the_holder_and_changes_nothing(
    lake: SmallLake,
) -> None:
    make_schema(lake)
    with held_by_a_test(lake):
        refused = lake.dbt(*SILVER, fold_lock_wait_seconds=0)
        # What folds nothing needs no lock.
        seed = lake.dbt("seed", fold_lock_wait_seconds=0)
        with lock_of(lake).attempt() as held_twice:
            assert not held_twice
    assert refused.returncode == 2
    assert "Another run is folding: a test, since 20" in refused.stdout
    assert "Run dbt again when it has ended" in refused.stdout
    assert seed.returncode == 0, seed.stdout
    assert lake.query(f"show tables from {lake.silver}") == [["accepted_values"]]
    with lock_of(lake).attempt() as held_again:
        assert held_again


def test_a_run_that_was_killed_locks_nobody_out(lake: SmallLake) -> None:
    with running(lake) as killed:
        eventually(lambda: statements_of_models(lake), "a model of the fold is built")
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert is_held(lake)
    again = lake.dbt(*SILVER, fold_lock_lease_seconds=2)
    assert again.returncode == 0, again.stdout
    assert lake.query(SCORE.format(lake.silver)) == [[702]]
    assert not is_held(lake)


def test_a_run_that_lost_the_lock_folds_no_further(lake: SmallLake) -> None:
    other = json.dumps({"command": "a test", "run": "other", "since": "2026-01-01T00:00:00+00:00"})
    with running(lake) as loser:
        eventually(lambda: statements_of_models(lake), "a model of the fold is built")
        # In one statement: at no moment is there no holder.
        query_as_dbt(f"comment on table {lake.silver}.fold_lock is '{other}'")
        printed, _ = loser.communicate()
    assert loser.returncode == 1
    assert "This run has lost the lock to a test, other" in printed, printed
    assert is_held(lake)
    assert not lake.query(f"show tables from {lake.silver} like '%__progress'")


def test_what_a_run_has_read_but_not_folded_in_is_read_again(lake: SmallLake) -> None:
    assert lake.dbt(*SILVER).returncode == 0
    lake.query(NEXT_MANIFEST.format(bronze=lake.bronze))
    lake.query(NEXT_ROW.format(bronze=lake.bronze))
    landed, progress = (f"int_loan_applications__{name}" for name in ("landed", "progress"))
    partly = lake.dbt("run", "--select", "int_batch_snapshots__effective", landed, progress)
    assert partly.returncode == 0, partly.stdout
    assert lake.query(SCORE.format(lake.silver)) == [[702]]
    assert lake.dbt(*SILVER).returncode == 0
    assert lake.query(SCORE.format(lake.silver)) == [[802]]
