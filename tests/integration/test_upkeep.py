"""Upkeep keeps the files of a table few, however many runs there were, and changes no row."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import trino
from trino.exceptions import TrinoQueryError

from infra.env import load_env
from infra.paths import REPO
from infra.upkeep import DbtTable, TableMaintenance, declared, upkeep
from tests.integration.small_lake import DBT_PROJECT, SmallLake, small_lake
from tests.stack import objects_administrator

STATE = "int_loan_applications__state"
VERSIONS = "int_loan_applications__versions"
PROGRESS = "int_loan_applications__progress"
RUNS = 8
KEYS = (1, 2, 3, 5, 6)  # of the small lake
# dbt's tables keep ten metadata files in addition to the newest.
METADATA_FILES = 11


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    with small_lake() as lake:
        lake.make_tables()
        yield lake


@pytest.fixture(scope="module")
def tables(lake: SmallLake) -> list[DbtTable]:
    return declared(load_env(), variables=lake.variables)


@pytest.fixture
def impatient(lake: SmallLake) -> TableMaintenance:
    """One that may drop what is of no use any more at once."""
    session = {f"iceberg.{what}_min_retention": "0s" for what in ("expire_snapshots", ORPHANS)}
    return maintenance(lake, **session)


ORPHANS = "remove_orphan_files"


def maintenance(lake: SmallLake, **session: str) -> TableMaintenance:
    return TableMaintenance(load_env(), f"{lake.prefix}silver", **session)


def at_once(table: DbtTable) -> DbtTable:
    """A table whose snapshots are expired at once."""
    none = {"retention_threshold": "0s"}
    return replace(table, upkeep=table.upkeep | {"expire_snapshots": none, ORPHANS: none})


def by_command(lake: SmallLake, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.upkeep", "--vars", lake.variables, *arguments],
        cwd=REPO,
        env={**os.environ, **env},
        text=True,
        capture_output=True,
        check=False,
    )


def contents(lake: SmallLake, table: str) -> list[Any]:
    """Rows and a checksum of each column."""
    schema, name = table.rsplit(".", 1)
    columns = lake.query(f"show columns from {schema}.{name.split()[0]}")
    sums = ", ".join(f'to_hex(checksum("{column}"))' for column, *_ in columns)
    return lake.query(f"select count(*), {sums} from {schema}.{name}")


def merge(lake: SmallLake, key: int) -> str:
    """A run's MERGE: one application has changed."""
    state = f"{lake.silver}.{STATE}"
    return f"""
        merge into {state} as old
        using (select * from {state} where application_id = {key}) as new
        on old.application_id = new.application_id
        when matched then update set credit_score = new.credit_score + 1
    """


def a_run(lake: SmallLake, number: int) -> None:
    """What a run of dbt does to the tables that it adds to."""
    lake.query(merge(lake, KEYS[number % 5]))
    versions, progress = f"{lake.silver}.{VERSIONS}", f"{lake.silver}.{PROGRESS}"
    lake.query(f"insert into {versions} select * from {versions} limit 1")
    lake.query(f"""
        merge into {progress} as old using (select * from {progress}) as new
        on old.input_id = new.input_id
        when matched then update set next_offset = {number}
    """)


def partitions(lake: SmallLake) -> int:
    [[count]] = lake.query(f'select count(*) from {lake.silver}."{STATE}$partitions"')
    return int(count)


def metadata_files(table: DbtTable, lake: SmallLake) -> int:
    [[newest]] = lake.query(
        f"select max_by(file, timestamp) from {table.hidden('metadata_log_entries')}"
    )
    bucket, folder = newest.removeprefix("s3://").rsplit("/", 1)[0].split("/", 1)
    pages = objects_administrator().get_paginator("list_objects_v2")
    listed = pages.paginate(Bucket=bucket, Prefix=f"{folder}/")
    keys = [entry["Key"] for page in listed for entry in page.get("Contents", [])]
    return sum(key.endswith(".metadata.json") for key in keys)


@pytest.mark.slow
def test_however_many_runs_there_were_as_many_files_remain(
    lake: SmallLake, tables: list[DbtTable], impatient: TableMaintenance
) -> None:
    assert len(tables) >= 9
    rounds: list[Any] = []
    for _ in range(3):
        for number in range(RUNS):
            a_run(lake, number)
        again = lake.dbt("run", "--select", "int_loan_applications__landed", "gold")
        assert again.returncode == 0, again.stdout
        expected = {str(table): contents(lake, f"iceberg.{table}") for table in tables}

        done = list(upkeep(impatient, [at_once(table) for table in tables]))

        assert [one.problems for one in done] == [()] * len(tables)
        assert {str(one.table): contents(lake, f"iceberg.{one.table}") for one in done} == expected
        state = next(one for one in done if one.table.name == STATE)
        assert min(state.before.data, state.before.deletes) >= RUNS
        assert state.after.data == partitions(lake)
        assert [one.after.deletes for one in done] == [0] * len(tables)
        assert [one.after.snapshots for one in done] == [1] * len(tables)
        kept = {str(table): metadata_files(table, lake) for table in tables}
        assert max(kept.values()) <= METADATA_FILES
        rounds.append(
            [(one.table, one.after.data, one.after.objects - kept[str(one.table)]) for one in done]
        )
    # What dbt created is split once, into manifests of files that change and files that do not.
    _, second, third = rounds
    assert second == third


def test_a_day_of_the_past_remains_and_what_a_broken_off_run_left_does_not(
    lake: SmallLake,
) -> None:
    state = f"{lake.silver}.{STATE}"
    [[past]] = lake.query(
        f'select max_by(snapshot_id, committed_at) from {lake.silver}."{STATE}$snapshots"'
    )
    before = contents(lake, f"{state} for version as of {past}")
    for number in range(3):
        lake.query(merge(lake, 1 + number))
    now = contents(lake, state)
    assert now != before
    [[file]] = lake.query(f'select "$path" from {state} limit 1')
    bucket, key = file.removeprefix("s3://").split("/", 1)
    orphan = f"{key.rsplit('/', 1)[0]}/young.parquet"
    objects = objects_administrator()
    objects.put_object(Bucket=bucket, Key=orphan, Body=b"being written")
    lake.query(f"create view {lake.silver}.{STATE}__dbt_tmp as select 1 as one")
    lake.query(f"create table {lake.gold}.a_unit_test__dbt_tmp (one integer)")

    done = by_command(lake, "--select", "intermediate gold")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{lake.prefix}silver.{STATE}" in done.stdout
    assert f"dropped {lake.prefix}silver.{STATE}__dbt_tmp" in done.stdout
    assert f"dropped {lake.prefix}gold.a_unit_test__dbt_tmp" in done.stdout
    assert not lake.query(f"show tables from {lake.gold} like '%dbt_tmp'")
    assert contents(lake, state) == now
    assert contents(lake, f"{state} for version as of {past}") == before
    objects.head_object(Bucket=bucket, Key=orphan)


def test_an_orphan_that_is_old_enough_goes(
    lake: SmallLake, tables: list[DbtTable], impatient: TableMaintenance
) -> None:
    [table] = [at_once(table) for table in tables if table.name == STATE]
    [[file]] = lake.query(f'select "$path" from {lake.silver}.{STATE} limit 1')
    bucket, key = file.removeprefix("s3://").split("/", 1)
    folder = key.rsplit("/", 1)[0]
    objects = objects_administrator()
    objects.upload_fileobj(BytesIO(b"left"), bucket, f"{folder}/old.parquet")
    list(upkeep(impatient, [table]))
    keys = objects.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]
    assert f"{folder}/old.parquet" not in {entry["Key"] for entry in keys}


def test_one_table_that_fails_stops_no_other(lake: SmallLake, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    landed = project / "models/intermediate/int_loan_applications__landed.yml"
    assert "1h" in landed.read_text()
    landed.write_text(landed.read_text().replace("1h", "1m"))
    lake.query(merge(lake, 1))

    folders = {"DBT_PROJECT_DIR": str(project), "DBT_PROFILES_DIR": str(project)}
    done = by_command(lake, "--select", f"{landed.stem} {STATE}", **folders)

    assert done.returncode == 1, done.stdout
    assert f"{landed.stem}: expire_snapshots: Retention specified (1.00m) is shorter" in done.stderr
    kinds = lake.query(f'select distinct content from {lake.silver}."{STATE}$files"')
    assert kinds == [[0]], done.stdout


def test_dbt_comes_first(lake: SmallLake, tables: list[DbtTable]) -> None:
    """It merges all the while, and none of that fails; then the table is rewritten."""
    [table] = [table for table in tables if table.name == STATE]
    failed: list[Exception] = []

    def run() -> None:
        try:
            for number in range(RUNS):
                as_dbt(merge(lake, KEYS[number % 5]))
        except TrinoQueryError as error:
            failed.append(error)

    as_dbt(merge(lake, 1))
    thread = Thread(target=run)
    thread.start()
    [done] = upkeep(maintenance(lake), [replace(table, upkeep={"optimize": True})])
    thread.join()
    assert (failed, done.problems) == ([], ())
    assert (done.after.data, done.after.deletes) == (partitions(lake), 0)


def as_dbt(sql: str) -> None:
    with trino.dbapi.connect(
        os.environ["TRINO_HOST"], int(os.environ["TRINO_PORT"]), user="dbt", source="dbt-trino-test"
    ) as connection:
        connection.cursor().execute(sql).fetchall()


# Hours of work for any machine, and no table needed.
ENDLESS = "select count(*) from unnest(sequence(1, 10000)) as a (n)"
ENDLESS += "".join(f", unnest(sequence(1, 10000)) as {t} (n)" for t in "bcd")
ENDLESS += " where a.n * b.n = c.n * d.n"


def test_a_rewriting_is_called_off_when_dbt_begins(lake: SmallLake) -> None:
    as_dbt("select 1")
    assert not maintenance(lake).is_done_before_dbt_begins(ENDLESS)
    queries = f"from system.runtime.queries where query = '{ENDLESS}'"
    assert lake.query(f"select distinct error_code {queries}") == [["USER_CANCELED"]]
