"""Makes the source's changes be captured: the publication holds the configured tables.

PostgreSQL decodes a change if its table was in the publication when it was made, and
adding a table does not wait for running transactions: their changes would neither be
decoded nor be visible to a batch that is taken right after. So a table is
locked against writers first, for the instant that it takes to add it. Who wrote before
has then ended, and a batch sees it; who writes after is captured.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from psycopg2 import errors as pg
from psycopg2 import extensions

from ingestion.catalog import relation_oid
from ingestion.errors import LockedError, MissingError, SettingsError
from ingestion.postgres import connect_owner, one_row, plain_errors, quote_identifier
from ingestion.settings import Settings
from ingestion.stream.slot import check_alive, read_slot
from ingestion.stream.topics import ensure_topics
from ingestion.tables import Table, Tables

APPLICATION = "ingestion capture"

# How long to wait for running writers: new ones queue behind our lock request.
LOCK_SECONDS = 5

# Its tables are Debezium's own, and the set-up's affair.
DEBEZIUM_SCHEMA = "debezium"

_MEMBERS = """
SELECT r.prrelid::bigint, format('%%I.%%I', n.nspname, c.relname)
FROM pg_publication AS p
JOIN pg_publication_rel AS r ON r.prpubid = p.oid
JOIN pg_class AS c ON c.oid = r.prrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.pubname = %s AND n.nspname <> %s
ORDER BY 2
"""

# A key's columns, and whether the WAL identifies its rows. Of a partitioned table, each
# partition writes its own WAL records.
_IDENTITY = """
WITH tree AS (
    SELECT %(oid)s::oid AS oid
    UNION
    SELECT relid FROM pg_partition_tree(%(oid)s) WHERE isleaf
)
SELECT format('%%I.%%I', n.nspname, c.relname),
       ARRAY(
           SELECT a.attname::text
           FROM pg_index AS i
           JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
           WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate
       ),
       (SELECT bool_and(l.relreplident IN ('d', 'f')) FROM tree JOIN pg_class AS l USING (oid)),
       c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid)
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = %(oid)s
"""

_WRITERS = """
SELECT DISTINCT coalesce(pid::text, 'of a prepared transaction')
FROM pg_locks
WHERE locktype = 'relation' AND granted
  AND mode NOT IN ('AccessShareLock', 'RowShareLock')
  AND relation IN (SELECT %(oid)s UNION SELECT relid FROM pg_partition_tree(%(oid)s))
ORDER BY 1
"""

CaptureAction = Literal["added", "present", "dropped"]


@dataclass(frozen=True)
class Captured:
    """What was done about a table of the source (as SQL names it)."""

    table: str
    action: CaptureAction


@dataclass(frozen=True)
class _Relation:
    oid: int
    name: str  # quoted and qualified


def capture(settings: Settings, tables: Tables, selected: Sequence[Table]) -> Iterator[Captured]:
    """Capture the changes of the selected tables, and of no table that is not configured.

    The topics are created first, with the configuration that the consumers need, before
    Debezium would create them. Each table has a transaction of its own, so that no lock is
    held while another table is waited for.

    Raises:
        SettingsError: a table cannot be captured, or its ``key`` is not its primary key.
        LockedError: transactions write to a table for too long.
        MissingError: the publication, the slot or a table does not exist.
        DataError: the slot is lost.
        ServiceError: PostgreSQL or Kafka cannot be reached.
    """
    connection = connect_owner(settings, APPLICATION)
    try:
        with plain_errors("looking at the source"), connection, connection.cursor() as cursor:
            _check_publication(cursor, settings.stream_publication)
            check_alive(read_slot(cursor, settings.stream_slot))
            wanted = {table: _relation(cursor, table) for table in selected}
            configured = {_oid_if_there(cursor, table) for table in tables.tables}
            members = captured_tables(cursor, settings.stream_publication)
        ensure_topics(settings, selected)
        for table, relation in wanted.items():
            is_new = relation.oid not in members and _add(connection, settings, relation)
            yield Captured(table.source, "added" if is_new else "present")
        for oid, name in members.items():
            if oid not in configured:
                _drop(connection, settings, name)
                yield Captured(name, "dropped")
    finally:
        connection.close()


def captured_tables(cursor: extensions.cursor, publication: str) -> dict[int, str]:
    """The oids and names of the tables in the publication, without Debezium's own."""
    cursor.execute(_MEMBERS, (publication, DEBEZIUM_SCHEMA))
    return dict(cursor.fetchall())


def uncaptured(
    cursor: extensions.cursor, publication: str, tables: Sequence[Table]
) -> tuple[str, ...]:
    """The sources of those tables that are not in the publication."""
    members = captured_tables(cursor, publication)
    return tuple(t.source for t in tables if _oid_if_there(cursor, t) not in members)


def _check_publication(cursor: extensions.cursor, name: str) -> None:
    """See that it is there and shows what a batch shows.

    That is: a partition's rows as its table's, and stored generated columns, which
    PostgreSQL publishes from 18 on. (What it cannot show is a TRUNCATE of a single
    partition: a full batch makes up for it.)
    """
    cursor.execute(
        "SELECT pubviaroot, to_jsonb(p) ->> 'pubgencols' FROM pg_publication AS p"
        " WHERE pubname = %s",
        (name,),
    )
    row = cursor.fetchone()
    if row is None:
        raise MissingError(f"the source has no publication {name!r}", "`make up` makes it")
    via_root, generated_columns = row
    if not via_root:
        _alter(cursor, name, "SET (publish_via_partition_root = true)")
    if generated_columns == "n":
        _alter(cursor, name, "SET (publish_generated_columns = stored)")


def _oid_if_there(cursor: extensions.cursor, table: Table) -> int | None:
    cursor.execute("SELECT to_regclass(%s)::oid::bigint", (table.source,))
    oid: int | None = one_row(cursor)[0]
    return oid


def _relation(cursor: extensions.cursor, table: Table) -> _Relation:
    """The table, if its changes can be captured.

    Without a replica identity, PostgreSQL would refuse every UPDATE and DELETE of a
    table in a publication: it is the source that would break.
    """
    oid = relation_oid(cursor, table)
    cursor.execute(_IDENTITY, {"oid": oid})
    name, primary_key, is_identified, has_children = one_row(cursor)
    if not primary_key:
        raise SettingsError(
            f"{table.source} has no primary key (or a deferrable one): its changes would not"
            " identify their rows",
            "add one: ALTER TABLE … ADD PRIMARY KEY",
        )
    if set(primary_key) != set(table.key):
        raise SettingsError(
            f"{table.source}: its primary key is ({', '.join(sorted(primary_key))}), not"
            f" ({', '.join(table.key)})",
            "correct `key` in the tables file",
        )
    if not is_identified:
        raise SettingsError(
            f"{table.source}: its replica identity (or a partition's) is not its primary key",
            "ALTER TABLE … REPLICA IDENTITY DEFAULT",
        )
    if has_children:
        raise SettingsError(
            f"{table.source} has child tables: their changes would come under their own names",
            "make them partitions, or tables of their own in the tables file",
        )
    return _Relation(oid, name)


def _add(connection: extensions.connection, settings: Settings, relation: _Relation) -> bool:
    """Add the table; False if another session has added it in the meantime."""
    with plain_errors(f"capturing {relation.name}"):
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
                cursor.execute(f"LOCK TABLE {relation.name} IN SHARE ROW EXCLUSIVE MODE")
                if relation.oid in captured_tables(cursor, settings.stream_publication):
                    return False
                _alter(cursor, settings.stream_publication, f"ADD TABLE {relation.name}")
                return True
        except pg.LockNotAvailable:
            raise _being_written(connection, relation) from None


def _drop(connection: extensions.connection, settings: Settings, name: str) -> None:
    with plain_errors(f"removing {name}"), connection, connection.cursor() as cursor:
        _alter(cursor, settings.stream_publication, f"DROP TABLE {name}")


def _alter(cursor: extensions.cursor, publication: str, change: str) -> None:
    cursor.execute(f"ALTER PUBLICATION {quote_identifier(publication)} {change}")


def _being_written(connection: extensions.connection, relation: _Relation) -> LockedError:
    with connection, connection.cursor() as cursor:
        cursor.execute(_WRITERS, {"oid": relation.oid})
        holders = [holder for (holder,) in cursor.fetchall()]
    return LockedError(
        f"{relation.name} is being written for more than {LOCK_SECONDS} s"
        f" (by PostgreSQL's processes: {', '.join(holders) or 'they have just ended'})",
        "run again when those transactions have ended; pg_stat_activity says whose they are",
    )
