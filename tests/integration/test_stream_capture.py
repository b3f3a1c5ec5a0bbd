"""Capturing tables: the publication holds what is configured, and no change falls between."""

import threading
import time
from typing import Any

import pytest

from ingestion.errors import IngestionError, LockedError, MissingError, SettingsError
from ingestion.settings import Settings
from ingestion.stream import capture as module
from ingestion.stream.capture import Captured, capture
from ingestion.stream.client import open_admin
from ingestion.stream.topics import topic_of


def run(corner: Any, settings: Settings, *names: str) -> list[Captured]:
    tables = corner.tables
    return list(capture(settings, tables, tables.select(list(names))))


def actions(corner: Any, settings: Settings, *names: str) -> list[str]:
    return [done.action for done in run(corner, settings, *names)]


def make(corner: Any, name: str, definition: str = "id integer PRIMARY KEY") -> str:
    corner.sql(f"CREATE TABLE {corner.schema}.{name} ({definition})")
    return str(corner.configure(name))


def decoded(administrator: Any, settings: Settings) -> bytes:
    """All that the slot gives for the publication, as PostgreSQL writes it."""
    with administrator.cursor() as cursor:
        cursor.execute(
            "SELECT data FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL,"
            " 'proto_version', '1', 'publication_names', %s)",
            (settings.stream_slot, settings.stream_publication),
        )
        return b"".join(bytes(data) for (data,) in cursor.fetchall())


def test_exactly_the_configured_tables_are_captured(corner: Any, captured: Settings) -> None:
    """And Debezium's own, which was there before, stays."""
    make(corner, "a")
    make(corner, "b")
    make(corner, "gone")
    assert actions(corner, captured) == ["added"] * 3
    assert actions(corner, captured) == ["present"] * 3
    del corner.entries[1:]
    corner.configure("new", source=f'{corner.schema}."New"')
    corner.sql(f'CREATE TABLE {corner.schema}."New" (id integer PRIMARY KEY)')
    done = run(corner, captured, f"{corner.schema}_new")
    assert done == [
        Captured(f'{corner.schema}."New"', "added"),
        Captured(f"{corner.schema}.b", "dropped"),
        Captured(f"{corner.schema}.gone", "dropped"),
    ]
    members = corner.sql(
        "SELECT schemaname || '.' || tablename FROM pg_publication_tables"
        f" WHERE pubname = '{captured.stream_publication}' ORDER BY 1"
    )
    expected = ["debezium.heartbeat", f"{corner.schema}.New", f"{corner.schema}.a"]
    assert [name for (name,) in members] == expected
    with open_admin(captured) as kafka:
        assert set(kafka.list_topics()) >= {
            topic_of(captured, table) for table in corner.tables.tables
        }


def test_who_wrote_before_and_commits_after_is_seen(
    corner: Any, captured: Settings, administrator: Any
) -> None:
    """Each row must be in the batch that is taken right after, or in the log."""
    make(corner, "t", "id integer PRIMARY KEY, x text")
    writer = corner.connect()
    writer.cursor().execute("INSERT INTO t VALUES (1, 'early')")
    landed = []

    def capture_and_land() -> None:
        run(corner, captured)
        landed.extend(corner.landed(corner.land()[0])["x"].to_pylist())

    thread = threading.Thread(target=capture_and_land)
    thread.start()
    while thread.is_alive() and not waits_for_lock(corner):
        time.sleep(0.01)
    writer.cursor().execute("INSERT INTO t VALUES (2, 'early')")
    writer.commit()
    thread.join()
    writer.cursor().execute("INSERT INTO t VALUES (3, 'late')")
    writer.commit()
    writer.close()
    log = decoded(administrator, captured)
    assert landed.count("early") + log.count(b"early") == 2
    assert log.count(b"late") == 1


def waits_for_lock(corner: Any) -> bool:
    found = corner.sql(
        "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'"
        f" AND relation = '{corner.schema}.t'::regclass"
    )
    return bool(found)


def test_a_long_writer_is_named(
    corner: Any, captured: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 1)
    make(corner, "t")
    writer = corner.connect()
    writer.cursor().execute("INSERT INTO t VALUES (1)")
    with pytest.raises(LockedError, match=rf"more than 1 s .*: {writer.info.backend_pid}\b"):
        run(corner, captured)
    writer.rollback()
    writer.close()
    assert actions(corner, captured) == ["added"]


def test_stored_generated_columns_are_captured(
    corner: Any, captured: Settings, administrator: Any
) -> None:
    """A batch reads them, too."""
    generated = "text GENERATED ALWAYS AS ('made of ' || id::text) STORED"
    make(corner, "t", f"id integer PRIMARY KEY, x {generated}")
    run(corner, captured)
    corner.sql(f"INSERT INTO {corner.schema}.t VALUES (7)")
    assert b"made of 7" in decoded(administrator, captured)


def test_a_partitions_changes_are_its_tables(
    corner: Any, captured: Settings, administrator: Any
) -> None:
    make(corner, "t", "id integer PRIMARY KEY, x text) PARTITION BY RANGE (id")
    table, part = f"{corner.schema}.t", f"{corner.schema}.part"
    corner.sql(f"CREATE TABLE {part} PARTITION OF {table} DEFAULT")
    assert actions(corner, captured) == ["added"]
    corner.sql(f"INSERT INTO {part} VALUES (1, 'x')")
    [(oid,)] = corner.sql(f"SELECT '{table}'::regclass::oid::bigint")
    # An insert's message begins with the table's number.
    assert b"I" + oid.to_bytes(4, "big") + b"N" in decoded(administrator, captured)


@pytest.mark.parametrize(
    ("definition", "then", "complaint"),
    [
        ("id integer NOT NULL UNIQUE", "", "has no primary key"),
        ("id integer PRIMARY KEY DEFERRABLE", "", "has no primary key"),
        ("id integer, n integer, PRIMARY KEY (id, n)", "", r"primary key is \(id, n\), not \(id\)"),
        ("id integer PRIMARY KEY", "ALTER TABLE t REPLICA IDENTITY NOTHING", "replica identity"),
        ("id integer PRIMARY KEY", "CREATE TABLE c () INHERITS (t)", "child tables"),
        (
            "id integer PRIMARY KEY) PARTITION BY RANGE (id",
            "CREATE TABLE p PARTITION OF t DEFAULT; ALTER TABLE p REPLICA IDENTITY NOTHING",
            r"\(or a partition's\)",
        ),
    ],
)
def test_a_table_that_cannot_be_captured_is_refused(
    corner: Any, captured: Settings, definition: str, then: str, complaint: str
) -> None:
    make(corner, "good")
    make(corner, "t", definition)
    if then:
        corner.sql(f"SET search_path TO {corner.schema}", then)
    with pytest.raises(SettingsError, match=complaint):
        run(corner, captured)
    corner.entries.pop()
    corner.configure("good2", source=f"{corner.schema}.good")
    assert actions(corner, captured) == ["added", "present"]  # nothing was half done


def test_replica_identity_full_is_good(corner: Any, captured: Settings) -> None:
    make(corner, "t")
    corner.sql(f"ALTER TABLE {corner.schema}.t REPLICA IDENTITY FULL")
    assert actions(corner, captured) == ["added"]


def test_what_the_set_up_makes_is_missed(corner: Any, captured: Settings) -> None:
    make(corner, "t")
    for setting, hint in {"stream_publication": "make up", "stream_slot": "reset-slot"}.items():
        with pytest.raises(MissingError, match="'none'") as failure:
            run(corner, captured.model_copy(update={setting: "none"}))
        assert hint in failure.value.hint


def test_an_unlogged_table_is_postgresqls_to_refuse(corner: Any, captured: Settings) -> None:
    make(corner, "t")
    corner.sql(f"ALTER TABLE {corner.schema}.t SET UNLOGGED")
    with pytest.raises(IngestionError, match="cannot add relation"):
        run(corner, captured)
