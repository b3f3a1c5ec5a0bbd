"""One consistent view of the source that many connections share.

Order matters: first the loaders' locks, then the tables' locks, then the
snapshot. So the snapshots of a table are taken in the order in which they land,
and no TRUNCATE (which an older snapshot would see as an empty table) or rewrite
comes between.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime

import psycopg2
from psycopg2 import extensions

from ingestion.catalog import relation_oid
from ingestion.errors import LockedError, ServiceError
from ingestion.postgres import SESSION_SETTINGS, connect_reader, one_row, plain_errors
from ingestion.settings import Settings
from ingestion.tables import Table

APPLICATION = "ingestion batch"


@dataclass(frozen=True)
class Snapshot:
    """Which transactions are seen, and when that was.

    Attributes:
        exported: the identifier by which other transactions import the snapshot.
        taken_at: the server's clock when it was taken, UTC.
        lsn: the write-ahead log's insert position at that time, as a number.
        xmin, xmax, xip: what pg_current_snapshot() says.
    """

    exported: str
    taken_at: datetime
    lsn: int
    xmin: int
    xmax: int
    xip: tuple[int, ...]

    @property
    def id(self) -> str:
        """The snapshot's name: its UTC time, sortable as text."""
        return snapshot_id(self.taken_at)

    @property
    def day(self) -> date:
        """The UTC day, which is the partition."""
        return self.taken_at.date()


def snapshot_id(taken_at: datetime) -> str:
    """A UTC time as sortable text to the microsecond: ``20261123T081500123456Z``."""
    return taken_at.strftime("%Y%m%dT%H%M%S%fZ")


class OpenSnapshot:
    """A snapshot whose transaction is open, on a connection that holds the locks."""

    def __init__(self, connection: extensions.connection, snapshot: Snapshot) -> None:
        self._connection = connection
        self.snapshot = snapshot

    @contextmanager
    def cursor(self) -> Iterator[extensions.cursor]:
        """A cursor that sees the snapshot."""
        with plain_errors("reading the snapshot"), self._connection.cursor() as cursor:
            yield cursor

    def check_alive(self) -> None:
        """Make sure that the snapshot and the locks are still held.

        Raises:
            ServiceError: the connection broke, so another loader may have started.
        """
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.Error:
            raise ServiceError(
                "the snapshot's transaction ended before everything was landed",
                "nothing became visible; run the batch again",
            ) from None


@contextmanager
def open_snapshot(settings: Settings, tables: Sequence[Table]) -> Iterator[OpenSnapshot]:
    """Lock the tables, take one snapshot of them all and hold it for the block.

    Raises:
        LockedError: another loader, or an ALTER or TRUNCATE, holds one of them.
        MissingError: a table does not exist.
        ServiceError: the server cannot be reached.
    """
    connection = connect_reader(settings, APPLICATION)
    # Explicit BEGIN: the loaders' locks must be had before the snapshot is taken.
    connection.autocommit = True
    try:
        with plain_errors("taking a snapshot"), connection.cursor() as cursor:
            for table in sorted(tables, key=lambda table: table.name):
                _lock_loader(cursor, table)
            snapshot = _take(cursor, tables)
        yield OpenSnapshot(connection, snapshot)
    finally:
        # Closing alone would leave the locks until the server notices it.
        with suppress(psycopg2.Error), connection.cursor() as cursor:
            cursor.execute("ROLLBACK")
            cursor.execute("SELECT pg_advisory_unlock_all()")
        connection.close()


def advisory_key(table: str) -> int:
    """The table's key among PostgreSQL's advisory locks, a signed 64-bit number."""
    digest = hashlib.sha256(f"lakehouse/ingestion/batch/{table}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _lock_loader(cursor: extensions.cursor, table: Table) -> None:
    key = advisory_key(table.name)
    # PostgreSQL notices the death of a killed loader within moments: wait for that.
    cursor.execute("SET lock_timeout = '3s'")
    try:
        cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
    except psycopg2.errors.LockNotAvailable:
        raise _held_by(cursor, table, key) from None
    cursor.execute("SET lock_timeout = %s", (SESSION_SETTINGS["lock_timeout"],))


def _held_by(cursor: extensions.cursor, table: Table, key: int) -> LockedError:
    cursor.execute(
        "SELECT l.pid, to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS UTC')"
        " FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid"
        " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
        "   AND (l.classid::bigint << 32 | l.objid::bigint) = %s",
        (key,),
    )
    pid, since = cursor.fetchone() or ("that has just ended", "?")
    return LockedError(
        f"another loader is landing {table.name}: PostgreSQL session {pid},"
        f" connected since {since}",
        "wait until it is done, then run again",
    )


def _take(cursor: extensions.cursor, tables: Sequence[Table]) -> Snapshot:
    names = []
    for table in tables:
        cursor.execute("SELECT %s::oid::regclass::text", (relation_oid(cursor, table),))
        names.append(one_row(cursor)[0])
    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    cursor.execute(f"LOCK TABLE {', '.join(names)} IN ACCESS SHARE MODE")
    # The position inserted, not written: a commit not yet flushed counts too.
    cursor.execute(
        "SELECT pg_export_snapshot(), clock_timestamp(),"
        " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()"
        "      ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn,"
        " pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text,"
        " ARRAY(SELECT pg_snapshot_xip(s)::text)"
        " FROM pg_current_snapshot() AS s"
    )
    exported, taken_at, lsn, xmin, xmax, xip = one_row(cursor)
    return Snapshot(
        exported=exported,
        taken_at=taken_at,
        lsn=int(lsn),
        xmin=int(xmin),
        xmax=int(xmax),
        xip=tuple(sorted(int(x) for x in xip)),
    )
