"""The newest part of the stream in the online store: what Flink wrote and gold does not have yet.

`python -m streaming` upserts a row per application into a table of its own, also one that says
that there is none any more, with the place in the stream that the row comes from. The views'
tables hold gold's rows, and with them stands up to which offset of the stream gold has
everything. A streamed row counts from there on, and as long as it is not older than gold's row.
So neither writer can replace the other's newer value, in any order of the two.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock

from feast import FeatureView
from psycopg import Connection, Cursor, sql

SCHEMA = "streaming"
# How soon a server notices that Flink was set up after it, or writes another feature.
LOOK_AGAIN_SECONDS = 10.0

FoldedOffset = tuple[str, int]  # a partition by its topic's id and its number, the next offset


@dataclass(frozen=True)
class Streamed:
    """Where the streamed rows of one project's entity are, and how far gold is."""

    project: str
    entity: str

    @property
    def online(self) -> sql.Identifier:
        return sql.Identifier(SCHEMA, f"{self.project}_{self.entity}")

    @property
    def truncated(self) -> sql.Identifier:
        return sql.Identifier(SCHEMA, f"{self.project}_{self.entity}_truncated")

    @property
    def folded(self) -> sql.Identifier:
        return sql.Identifier(folded_offsets_table(self.project))

    def names(self) -> dict[str, sql.Identifier]:
        return {"online": self.online, "truncated": self.truncated, "folded": self.folded}

    def joins(self, key: str) -> sql.Composed:
        """For a query that has the keys as `wanted`: its streamed row, and the newest TRUNCATE."""
        return sql.SQL("""
            left join lateral (
                select newest.*
                from {online} as newest
                left join {folded} as folded on folded.input_id = newest.input_id
                where newest.{key} = wanted.key
                and newest.record_offset >= coalesce(folded.next_offset, 0)
            ) as streamed on true
            cross join (
                select max(newest.lsn) as lsn
                from {truncated} as newest
                left join {folded} as folded on folded.input_id = newest.input_id
                where newest.record_offset >= coalesce(folded.next_offset, 0)
            ) as truncated
        """).format(**self.names(), key=sql.Identifier(key))

    def pick(self, alias: str, name: str) -> sql.Composed:
        """Of a feature, or the event's time, the value that holds: streamed, or gold's."""
        return sql.SQL("""
            case
                when streamed.lsn > coalesce(truncated.lsn, -1)
                and streamed.event_timestamp >= coalesce({gold_time}, '-infinity')
                then case when streamed.has_features then streamed.{name} end
                when truncated.lsn is null then {gold}
            end
        """).format(
            gold_time=sql.Identifier(alias, "event_timestamp"),
            gold=sql.Identifier(alias, name),
            name=sql.Identifier(name),
        )

    def columns(self, connection: Connection) -> frozenset[str]:
        """What is streamed; nothing where Flink is left out."""
        cursor = connection.execute(
            "select attname from pg_attribute where attrelid = to_regclass(%s)"
            " and attnum > 0 and not attisdropped and to_regclass(%s) is not null",
            (self.online.as_string(), self.folded.as_string()),
        )
        return frozenset(row[0] for row in cursor)

    def delete_folded(self, connection: Connection) -> None:
        """Delete the streamed rows that gold has."""
        if not self.columns(connection):
            return
        for table in (self.online, self.truncated):
            connection.execute(
                sql.SQL(
                    "delete from {} as newest using {} as folded"
                    " where folded.input_id = newest.input_id"
                    " and newest.record_offset < folded.next_offset"
                ).format(table, self.folded)
            )

    def newer_keys(self, connection: Connection, key: str) -> set[int]:
        """The applications whose newest change gold does not have yet."""
        if not self.columns(connection):
            return set()
        statement = sql.SQL(
            "select newest.{key} from {online} as newest left join {folded} as folded"
            " on folded.input_id = newest.input_id"
            " where newest.record_offset >= coalesce(folded.next_offset, 0)"
        ).format(**self.names(), key=sql.Identifier(key))
        return {row[0] for row in connection.execute(statement)}


def streamed_of(project: str, view: FeatureView) -> Streamed:
    """Those of the view's entity."""
    [entity] = view.entities
    return Streamed(project, str(entity))


def folded_offsets_table(project: str) -> str:
    return f"{project}_folded_offsets"


def ensure_folded_offsets(cursor: Cursor, project: str) -> None:
    cursor.execute(
        sql.SQL(
            "create table if not exists {} (input_id text primary key, next_offset bigint not null)"
        ).format(sql.Identifier(folded_offsets_table(project)))
    )


def note_folded_offsets(cursor: Cursor, project: str, offsets: Iterable[FoldedOffset]) -> None:
    """How far gold is."""
    ensure_folded_offsets(cursor, project)
    cursor.executemany(
        sql.SQL(
            "insert into {} values (%s, %s) on conflict (input_id)"
            " do update set next_offset = excluded.next_offset"
        ).format(sql.Identifier(folded_offsets_table(project))),
        list(offsets),
    )


@dataclass
class KnownColumns:
    """What is streamed, as it was a moment ago: Flink may be set up, or write more features."""

    columns: frozenset[str] = frozenset()
    looked_at: float = -LOOK_AGAIN_SECONDS
    lock: Lock = field(default_factory=Lock)

    def look(self, streamed: Streamed, connection: Connection) -> frozenset[str]:
        now = time.monotonic()
        with self.lock:
            if now - self.looked_at >= LOOK_AGAIN_SECONDS:
                self.columns = streamed.columns(connection)
                self.looked_at = now
            return self.columns
