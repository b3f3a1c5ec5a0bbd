"""The batch loader on the real stack: what lands is what a snapshot saw, or nothing."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.batch import run as batch_run
from ingestion.batch.cursor import CursorInterval
from ingestion.batch.manifest import land_manifest
from ingestion.batch.plan import SLICE_BLOCKS, Slice
from ingestion.batch.snapshot import open_snapshot, snapshot_id
from ingestion.batch.verify import verify_newest
from ingestion.batch.write import PartWriter
from ingestion.catalog import Leaf
from ingestion.errors import (
    DataError,
    IngestionError,
    LockedError,
    MissingError,
    ServiceError,
    SettingsError,
)
from tests.integration.changes import eventually
from tests.integration.limits import make_limits
from tests.stack import ingest, objects_administrator


def test_all_types_come_through_trino_at_their_limits(corner: Any) -> None:
    expected = make_limits(corner)
    table = corner.configure("limits")
    corner.land()
    corner.ensure_tables()
    shown = sorted(corner.visible(table))
    for row, wanted in zip(shown, expected, strict=True):
        without_lake_columns = list(row[:-3])
        for floating in (12, 13):  # NaN is not equal to itself
            if without_lake_columns[floating] is not None:
                without_lake_columns[floating] = str(without_lake_columns[floating])
        assert without_lake_columns == list(wanted)


@pytest.mark.parametrize(
    ("kind", "value", "named"),
    [
        ("numeric(12,2)", "NaN", "NaN"),
        ("date", "infinity", "infinity"),
        ("date", "-infinity", "-infinity"),
        ("timestamp", "infinity", "infinity"),
        ("timestamptz", "-infinity", "-infinity"),
        ("timestamptz", "294276-12-31 23:59:59+00", "a time after the year 294246"),
    ],
)
def test_a_value_that_cannot_land_is_named_and_the_others_land(
    corner: Any, kind: str, value: str, named: str
) -> None:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer PRIMARY KEY, bad {kind}, good text)",
        f"INSERT INTO {corner.schema}.t VALUES (1, NULL, 'a'), (7, '{value}', 'b'), (8, NULL, 'c')",
    )
    table = corner.configure("t")
    corner.land()
    corner.ensure_tables()
    shown = sorted(corner.visible(table, "id, bad, good, _unreadable"))
    assert [row[:3] for row in shown] == [(1, None, "a"), (7, None, "b"), (8, None, "c")]
    assert [row[3] and json.loads(row[3]) for row in shown] == [None, {"bad": named}, None]


def test_a_key_that_cannot_land_stops_the_batch(corner: Any) -> None:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id date PRIMARY KEY)",
        f"INSERT INTO {corner.schema}.t VALUES ('infinity')",
    )
    table = corner.configure("t")
    with pytest.raises(DataError, match="the key's column 'id' holds infinity"):
        corner.land()
    assert corner.manifests(table) == []


def test_an_empty_table_lands_as_a_manifest_without_parts(corner: Any) -> None:
    corner.sql(f"CREATE TABLE {corner.schema}.t (id integer PRIMARY KEY, x text)")
    table = corner.configure("t")
    (manifest,) = corner.land()
    corner.ensure_tables()
    assert (manifest.row_count, manifest.parts) == (0, ())
    assert corner.visible(table) == []
    assert corner.manifests(table) == [manifest]


def test_partitions_and_children_are_each_read_once(corner: Any) -> None:
    s = corner.schema
    corner.sql(
        f"CREATE TABLE {s}.p (id integer, x text) PARTITION BY RANGE (id)",
        f"CREATE TABLE {s}.p1 PARTITION OF {s}.p FOR VALUES FROM (0) TO (50)",
        f"CREATE TABLE {s}.p2 PARTITION OF {s}.p FOR VALUES FROM (50) TO (90)"
        " PARTITION BY LIST (x)",
        f"CREATE TABLE {s}.p2x PARTITION OF {s}.p2 DEFAULT",
        f"CREATE TABLE {s}.p3 PARTITION OF {s}.p DEFAULT",
        f"INSERT INTO {s}.p SELECT i, 'x' FROM generate_series(0, 99) AS i",
        f"CREATE TABLE {s}.parent (id integer, x text)",
        f"CREATE TABLE {s}.child () INHERITS ({s}.parent)",
        f"INSERT INTO {s}.parent VALUES (0, 'x')",
        f"INSERT INTO {s}.child SELECT i, 'x' FROM generate_series(1, 9) AS i",
    )
    corner.configure("p")
    corner.configure("parent")
    partitioned, inherited = corner.land()
    assert sorted(corner.landed(partitioned)["id"].to_pylist()) == list(range(100))
    assert sorted(corner.landed(inherited)["id"].to_pylist()) == list(range(10))
    assert partitioned.snapshot_id == inherited.snapshot_id


def test_parts_roll_over_and_hold_each_row_once(
    corner: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer PRIMARY KEY, x text)",
        f"INSERT INTO {corner.schema}.t SELECT i, repeat('x', 500)"
        " FROM generate_series(1, 200000) AS i",
    )
    corner.configure("t")
    assert corner.sql("SELECT pg_relation_size(%s) / 8192", parameters=(f"{corner.schema}.t",)) > [
        (2 * SLICE_BLOCKS,)
    ]
    defaults = PartWriter.__init__.__kwdefaults__
    assert defaults
    monkeypatch.setitem(defaults, "part_rows", 30_000)
    (manifest,) = corner.land()
    assert len(manifest.parts) > 3
    rows = corner.landed(manifest)
    assert sorted(rows["id"].to_pylist()) == list(range(1, 200_001))
    assert manifest.row_count == 200_000
    assert rows["_snapshot_id"].unique().to_pylist() == [manifest.snapshot_id]
    assert len({part.object for part in manifest.parts}) == len(manifest.parts)


def test_what_is_not_a_table_is_refused(corner: Any) -> None:
    corner.sql(f"CREATE VIEW {corner.schema}.v AS SELECT 1 AS id")
    corner.configure("v")
    with pytest.raises(SettingsError, match="is not a table"):
        corner.land()


def test_a_missing_table_or_key_is_an_error(corner: Any) -> None:
    corner.configure("nothing")
    with pytest.raises(MissingError, match="does not exist in the source"):
        corner.land()
    corner.sql(f"CREATE TABLE {corner.schema}.nothing (x integer)")
    with pytest.raises(MissingError, match="has no column 'id'"):
        corner.land()


def test_a_second_loader_of_a_table_is_refused(corner: Any) -> None:
    corner.sql(f"CREATE TABLE {corner.schema}.a (id integer PRIMARY KEY)")
    corner.sql(f"CREATE TABLE {corner.schema}.b (id integer PRIMARY KEY)")
    a, b = corner.configure("a"), corner.configure("b")
    with open_snapshot(corner.settings, corner.tables.select([a])):
        with pytest.raises(LockedError, match=f"another loader is landing {a}: .* session [0-9]+"):
            corner.land()
        assert corner.manifests(b) == []
        corner.land(names=[b])
    corner.land(names=[a])


def test_truncate_waits_for_the_snapshot(corner: Any) -> None:
    """An older snapshot sees a truncated table as empty: it would land as no rows."""
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer PRIMARY KEY)",
        f"INSERT INTO {corner.schema}.t VALUES (1)",
    )
    corner.configure("t")
    with open_snapshot(corner.settings, corner.tables.tables) as held:
        with pytest.raises(Exception, match="lock timeout"):
            corner.sql("SET lock_timeout = '200ms'", f"TRUNCATE {corner.schema}.t")
        with held.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {corner.schema}.t")
            assert cursor.fetchone() == (1,)


def test_losing_the_snapshot_lands_nothing(
    corner: Any, administrator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer PRIMARY KEY)",
        f"INSERT INTO {corner.schema}.t SELECT generate_series(1, 100)",
    )
    table = corner.configure("t")
    land_parts = batch_run._land_parts

    def land_and_lose(*arguments: Any) -> Any:
        parts = land_parts(*arguments)
        administrator.cursor().execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        time.sleep(0.2)
        return parts

    monkeypatch.setattr(batch_run, "_land_parts", land_and_lose)
    with pytest.raises(ServiceError, match="snapshot's transaction ended"):
        corner.land()
    assert corner.manifests(table) == []
    monkeypatch.undo()
    assert corner.land()[0].row_count == 100


def test_a_snapshot_is_consistent_while_writers_run(corner: Any) -> None:
    """Money moves between accounts of two tables; every snapshot holds the same sum."""
    s = corner.schema
    corner.sql(
        *(
            statement
            for name in ("a", "b")
            for statement in (
                f"CREATE TABLE {s}.{name} (id integer PRIMARY KEY, balance bigint, pad text)",
                f"INSERT INTO {s}.{name} SELECT i, 100, repeat('p', 200)"
                " FROM generate_series(1, 40000) AS i",
            )
        )
    )
    corner.configure("a")
    corner.configure("b")
    stop = threading.Event()
    moved = [0]

    def write(seed: int) -> None:
        chance = random.Random(seed)
        connection = corner.connect()
        while not stop.is_set():
            with connection, connection.cursor() as cursor:
                for name, amount in (("a", -5), ("b", 5)):
                    cursor.execute(
                        f"UPDATE {name} SET balance = balance + %s WHERE id = %s",
                        (amount, chance.randint(1, 40000)),
                    )
                    cursor.execute(f"DELETE FROM {name} WHERE balance = 0 AND id < 0")
            moved[0] += 1
        connection.close()

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for writer in writers:
        writer.start()
    try:
        before = moved[0]
        for _ in range(5):
            a, b = corner.land()
            total = sum(sum(corner.landed(manifest)["balance"].to_pylist()) for manifest in (a, b))
            assert total == 2 * 40_000 * 100
            assert a.row_count == b.row_count == 40_000
        assert moved[0] > before, "nothing was written during the batch: nothing was tested"
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def test_no_table_becomes_visible_before_all_are_landed(corner: Any) -> None:
    corner.sql(
        f"CREATE TABLE {corner.schema}.good (id integer PRIMARY KEY)",
        f"INSERT INTO {corner.schema}.good VALUES (1)",
        f"CREATE TABLE {corner.schema}.bad (id date PRIMARY KEY)",
        f"INSERT INTO {corner.schema}.bad VALUES ('infinity')",
    )
    good, bad = corner.configure("good"), corner.configure("bad")
    with pytest.raises(DataError):
        corner.land()
    assert list(corner.bronze.keys(f"batch/{good}/")), "the first table was not read before"
    assert corner.manifests(good) == corner.manifests(bad) == []


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_a_source_whose_log_went_back_is_refused(corner: Any, mode: str) -> None:
    """As after a restore to a fresh server: silver would keep the older rows."""
    table = make_changing(corner)
    (real,) = corner.land()
    ahead = real.model_copy(update={"snapshot_id": real.snapshot_id + "1", "lsn": 2 * real.lsn})
    land_manifest(corner.bronze, ahead)
    with pytest.raises(DataError, match=f"{table}: the source is older than snapshot") as failure:
        corner.land(mode)
    assert ahead.snapshot_id in failure.value.message
    assert f"{table}+*.json" in failure.value.hint
    assert corner.manifests(table) == [real, ahead]


def test_a_source_whose_clock_went_back_is_refused(corner: Any) -> None:
    """The next incremental batch would continue from the wrong snapshot."""
    table = make_changing(corner)
    (real,) = corner.land()
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    ahead = real.model_copy(
        update={"snapshot_id": snapshot_id(tomorrow), "taken_at": tomorrow.isoformat()}
    )
    land_manifest(corner.bronze, ahead)
    with pytest.raises(DataError, match="its clock or its WAL position went back"):
        corner.land()
    assert corner.manifests(table) == [real, ahead]


def test_the_snapshots_of_one_table_do_not_hold_up_another(corner: Any) -> None:
    make_changing(corner)
    (real,) = corner.land()
    land_manifest(corner.bronze, real.model_copy(update={"snapshot_id": "3", "lsn": 2 * real.lsn}))
    corner.sql(f"CREATE TABLE {corner.schema}.other (id integer PRIMARY KEY)")
    other = corner.configure("other")
    assert len(corner.land(names=[other])) == 1


# Kills itself so many seconds after so many parts have landed; no part counts from the start.
LOADER = """
import itertools, os, signal, sys, threading
from pathlib import Path
from ingestion.batch.run import run_batch
from ingestion.batch.write import PartWriter
from ingestion.settings import get_settings
from ingestion.tables import load_tables

parts, seconds = int(sys.argv[2]), float(sys.argv[3])
land, landed = PartWriter._land, itertools.count(1)

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

def kill_soon():
    threading.Timer(seconds, kill).start() if seconds else kill()

def land_and_count(writer):
    land(writer)
    if next(landed) == parts:
        kill_soon()

PartWriter._land = land_and_count
PartWriter.__init__.__kwdefaults__["part_rows"] = 5_000
tables = load_tables(Path(sys.argv[1]))
settings = get_settings()
if not parts:
    kill_soon()
list(run_batch(settings, tables, tables.tables, "full", 2))
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_leaves_no_half_snapshot(corner: Any) -> None:
    rows = 60_000
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer PRIMARY KEY, x text)",
        f"INSERT INTO {corner.schema}.t SELECT i, repeat('x', 900)"
        f" FROM generate_series(1, {rows}) AS i",
    )
    table = corner.configure("t")
    (whole,) = land_when_free(corner)
    chance = random.Random(1)
    for kill in range(20):
        parts = chance.randint(0, rows // 5_000)
        seconds = 0 if parts and kill % 2 else chance.uniform(0, 0.02 if parts else 0.3)
        run_until_killed(corner, parts, seconds)
        for manifest in corner.manifests(table):
            assert manifest.row_count == rows
            assert sum(part.row_count for part in manifest.parts) == rows
    orphans = set(corner.bronze.keys(f"batch/{table}/")) - {
        part.object.removeprefix(corner.bronze.uri(""))
        for manifest in corner.manifests(table)
        for part in manifest.parts
    }
    assert orphans, "no run was killed while it landed parts"
    assert whole in corner.manifests(table)
    (again,) = land_when_free(corner)
    assert sorted(corner.landed(again)["id"].to_pylist()) == list(range(1, rows + 1))
    corner.ensure_tables()
    snapshots = len(corner.manifests(table))
    assert corner.visible(table, "count(*), count(DISTINCT id)") == [(snapshots * rows, rows)]


def run_until_killed(corner: Any, parts: int, seconds: float) -> None:
    """Run a loader that kills itself then, or is done before.

    PostgreSQL holds the lock of the one before until it has noticed its death.
    """
    for _ in range(50):
        loader = subprocess.run(
            [sys.executable, "-c", LOADER, str(corner.tables_file), str(parts), str(seconds)],
            env=corner.environment(),
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if loader.returncode in (0, -signal.SIGKILL):
            return
        assert "LockedError" in loader.stderr, loader.stderr
        time.sleep(0.1)
    raise AssertionError(loader.stderr)


def land_when_free(corner: Any) -> Any:
    """Land as soon as PostgreSQL has noticed the death of the last loader."""
    for _ in range(50):
        try:
            return corner.land()
        except LockedError:
            time.sleep(0.1)
    return corner.land()


# In brackets it is waited for once, not for each row.
SLOW = "(SELECT pg_sleep(600)) IS NULL"


def slow_and(monkeypatch: pytest.MonkeyPatch, condition: str) -> None:
    """Make one worker of two wait in PostgreSQL, the other meet the condition."""

    def slices(leaves: Sequence[Leaf]) -> list[Slice]:
        return [Slice(leaves[0].name, SLOW), Slice(leaves[0].name, condition)]

    monkeypatch.setattr(batch_run, "full_slices", slices)


# The second fails once rows are streaming.
@pytest.mark.parametrize("condition", ["1 / (id - 2) = 0", "1 / (id - 200000) < 2"])
def test_one_workers_failure_ends_the_others_at_once(
    corner: Any, monkeypatch: pytest.MonkeyPatch, condition: str
) -> None:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer)",
        f"INSERT INTO {corner.schema}.t SELECT generate_series(1, 200000)",
    )
    table = corner.configure("t")
    slow_and(monkeypatch, condition)
    began = time.monotonic()
    with pytest.raises(IngestionError, match=r"^reading .*: division by zero$"):
        corner.land()
    assert time.monotonic() - began < 120  # of 600
    assert corner.manifests(table) == []


def test_a_worker_whose_connection_breaks_is_a_service_failure(
    corner: Any, administrator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer)", f"INSERT INTO {corner.schema}.t VALUES (1)"
    )
    corner.configure("t")
    slow_and(monkeypatch, "true")
    killer = threading.Thread(target=kill_when_slow, args=(corner, administrator))
    killer.start()
    with pytest.raises(ServiceError, match="terminating connection"):
        corner.land()
    killer.join()


def kill_when_slow(corner: Any, administrator: Any) -> None:
    cursor = administrator.cursor()
    wait_until_slow(corner, cursor)
    cursor.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE %s",
        (slow_query(corner),),
    )


def slow_query(corner: Any) -> str:
    return f"COPY (%{corner.schema}.t WHERE {SLOW}%"


def wait_until_slow(corner: Any, cursor: Any) -> None:
    def is_slow() -> Any:
        cursor.execute("SELECT 1 FROM pg_stat_activity WHERE query LIKE %s", (slow_query(corner),))
        return cursor.fetchone()

    eventually(is_slow, "a worker waits")


INTERRUPTED = f"""
import ingestion.batch.run as run
from ingestion.batch.plan import Slice
from ingestion.cli import main
run.full_slices = lambda leaves: [Slice(leaves[0].name, {SLOW!r})] * 2
main()
"""


def test_ctrl_c_ends_workers_that_wait(corner: Any, administrator: Any) -> None:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer)", f"INSERT INTO {corner.schema}.t VALUES (1)"
    )
    table = corner.configure("t")
    loader = subprocess.Popen(
        [
            *(sys.executable, "-c", INTERRUPTED, "batch"),
            *("--tables-file", str(corner.tables_file), "--workers", "2"),
        ],
        env=corner.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_slow(corner, administrator.cursor())
    loader.send_signal(signal.SIGINT)
    shown, printed = loader.communicate(timeout=120)
    assert (loader.returncode, shown) == (130, "")
    assert printed == "stopped; nothing half done is visible\n"
    assert corner.manifests(table) == []


def make_changing(corner: Any, **cursor: Any) -> str:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id integer PRIMARY KEY, x text, at timestamptz)",
        f"CREATE INDEX ON {corner.schema}.t (at)",
        f"INSERT INTO {corner.schema}.t SELECT i, 'old', '2026-01-01'::timestamptz"
        " + i * interval '1 minute' FROM generate_series(1, 100) AS i",
    )
    cursor = {"column": "at", "overlap": "10 minutes", **cursor}
    return str(corner.configure("t", cursor=cursor))


def test_incremental_lands_what_changed_and_the_overlap(corner: Any) -> None:
    make_changing(corner)
    (full,) = corner.land("incremental")
    assert (full.mode, full.row_count, full.cursor_from) == ("full", 100, None)
    assert full.cursor_to == "2026-01-01 01:40:00+00"
    corner.sql(f"UPDATE {corner.schema}.t SET x = 'new', at = '2026-02-01Z' WHERE id = 5")
    (changed,) = corner.land("incremental")
    assert changed.mode == "incremental"
    assert changed.cursor_from == "2026-01-01 01:30:00+00"
    assert changed.cursor_to == "2026-02-01 00:00:00+00"
    assert sorted(corner.landed(changed)["id"].to_pylist()) == [5, *range(90, 101)]
    assert (changed.lsn, changed.snapshot_id) > (full.lsn, full.snapshot_id)


def test_a_date_in_the_future_does_not_hide_later_changes(corner: Any) -> None:
    make_changing(corner)
    corner.sql(f"INSERT INTO {corner.schema}.t VALUES (1000, 'typo', '2099-01-01Z')")
    (full,) = corner.land()
    assert full.cursor_to is not None
    assert datetime.fromisoformat(full.cursor_to) == datetime.fromisoformat(full.taken_at)
    corner.sql(f"UPDATE {corner.schema}.t SET x = 'new', at = now() WHERE id = 5")
    (changed,) = corner.land("incremental")
    assert sorted(corner.landed(changed)["id"].to_pylist()) == [5, 1000]


@pytest.mark.parametrize(
    "reload",
    [
        "TRUNCATE {0}.t; INSERT INTO {0}.t SELECT i, 'other', '2026-01-01'::timestamptz"
        " + i * interval '1 minute' FROM generate_series(1, 100) AS i",
        "ALTER TABLE {0}.t ALTER x TYPE varchar(9) USING 'other'",
    ],
    ids=["truncate", "rewrite"],
)
def test_a_reload_with_the_same_times_is_read_in_full(
    corner: Any, reload: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make_changing(corner)
    (first,) = corner.land()
    corner.sql(reload.format(corner.schema))
    (again,) = corner.land("incremental")
    assert (again.mode, again.row_count) == ("full", 100)
    assert set(corner.landed(again)["x"].to_pylist()) == {"other"}
    printed = " ".join(capsys.readouterr().err.split())
    assert f"{table}: was truncated, rewritten or repartitioned since" in printed
    assert first.storage != again.storage
    (changed,) = corner.land("incremental")
    assert changed.mode == "incremental"


def test_a_truncated_partition_is_read_in_full(corner: Any) -> None:
    s = corner.schema
    corner.sql(
        f"CREATE TABLE {s}.p (id integer, at timestamptz) PARTITION BY RANGE (id)",
        f"CREATE TABLE {s}.p1 PARTITION OF {s}.p FOR VALUES FROM (0) TO (50)",
        f"CREATE TABLE {s}.p2 PARTITION OF {s}.p FOR VALUES FROM (50) TO (100)",
        f"INSERT INTO {s}.p SELECT i, '2026-01-01' FROM generate_series(0, 99) AS i",
    )
    corner.configure("p", cursor={"column": "at"})
    corner.land()
    corner.sql(f"TRUNCATE {s}.p2")
    (again,) = corner.land("incremental")
    assert (again.mode, again.row_count) == ("full", 50)
    assert corner.land("incremental")[0].mode == "incremental"


def test_nothing_changed_keeps_the_cursor(corner: Any) -> None:
    make_changing(corner)
    (full,) = corner.land()
    corner.sql(f"DELETE FROM {corner.schema}.t")
    (nothing,) = corner.land("incremental")
    assert (nothing.row_count, nothing.parts) == (0, ())
    assert nothing.cursor_to == full.cursor_to


def test_a_number_can_be_the_cursor(corner: Any) -> None:
    corner.sql(
        f"CREATE TABLE {corner.schema}.t (id bigint PRIMARY KEY)",
        f"INSERT INTO {corner.schema}.t SELECT generate_series(1, 50)",
    )
    corner.configure("t", cursor={"column": "id", "overlap": 2})
    corner.land()
    corner.sql(f"INSERT INTO {corner.schema}.t VALUES (60)")
    (changed,) = corner.land("incremental")
    assert sorted(corner.landed(changed)["id"].to_pylist()) == [48, 49, 50, 60]


def test_an_interval_is_read_again_and_the_cursor_stays(corner: Any) -> None:
    make_changing(corner)
    interval = CursorInterval("2026-01-01 00:10Z", "2026-01-01 00:20Z")
    (full,) = corner.land("incremental", interval=interval)
    assert (full.mode, full.row_count) == ("full", 100)
    corner.sql(f"UPDATE {corner.schema}.t SET x = 'new' WHERE id = 12")
    (again,) = corner.land("incremental", interval=interval)
    assert (again.mode, again.cursor_to) == ("incremental", full.cursor_to)
    rows = corner.landed(again)
    assert sorted(rows["id"].to_pylist()) == [*range(10, 20)]
    assert rows["x"].to_pylist().count("new") == 1


def test_an_interval_that_is_none_is_refused(corner: Any) -> None:
    make_changing(corner)
    corner.land()
    with pytest.raises(SettingsError, match="'soon' to 'later' is no range of a timestamp"):
        corner.land("incremental", interval=CursorInterval("soon", "later"))


@pytest.mark.parametrize(
    "options",
    [["--from", "2026-01-01"], ["--mode", "full", "--from", "2026-01-01", "--to", "2026-01-02"]],
)
def test_half_an_interval_is_refused(options: list[str]) -> None:
    with pytest.raises(RuntimeError, match="go together, and with --mode incremental"):
        ingest("batch", *options)


def test_a_snapshot_is_verified_and_a_lost_part_is_found(corner: Any) -> None:
    make_changing(corner)
    table = corner.tables.tables[-1]
    with pytest.raises(MissingError, match="no snapshot has landed"):
        verify_newest(corner.settings, corner.tables, table)
    (full,) = corner.land()
    corner.ensure_tables()
    assert verify_newest(corner.settings, corner.tables, table) == full
    lost = full.parts[0].object.removeprefix(corner.bronze.uri(""))
    objects_administrator().delete_object(Bucket=corner.bronze.bucket, Key=lost)
    with pytest.raises(DataError, match="has 100 rows by its manifest, and Trino shows 0"):
        verify_newest(corner.settings, corner.tables, table)


@pytest.mark.parametrize(
    ("cursor", "complaint"),
    [
        ({"column": "x"}, "a cursor of type text cannot be followed"),
        ({"overlap": "soon"}, "overlap 'soon' cannot be taken"),
    ],
)
def test_a_cursor_that_cannot_work_is_refused(corner: Any, cursor: Any, complaint: str) -> None:
    make_changing(corner, **cursor)
    with pytest.raises(SettingsError, match=complaint):
        corner.land()


def test_a_clock_before_the_first_day_is_refused(corner: Any) -> None:
    """What lands on a day that Trino does not look at would never be seen."""
    corner.sql(f"CREATE TABLE {corner.schema}.t (id integer PRIMARY KEY)")
    table = corner.configure("t")
    file: Path = corner.tables_file
    tomorrow = str(datetime.now(UTC).date().replace(year=2999))
    file.write_text(file.read_text().replace("2026-01-01", tomorrow))
    with pytest.raises(SettingsError, match="before the first day"):
        corner.land()
    assert corner.manifests(table) == []
