"""Was anything lost, was anything repeated? Exact, and without Trino and dbt.

The objects in bronze are read as they are; what they say is compared with itself, with
the source, and with what the simulator knows that it committed.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.postgres import connect_reader
from ingestion.settings import Settings
from ingestion.storage import Bronze, Stored
from ingestion.stream.object_keys import END, FOLDER
from ingestion.stream.topics import topic_of
from ingestion.tables import Table

# PostgreSQL reads the rows as it reads any: what is equal is its judgement.
DIFFERING = """
SELECT coalesce(source.application_id, folded.application_id)
FROM loan_applications AS source
FULL JOIN json_populate_recordset(NULL::loan_applications, %s) AS folded
    USING (application_id)
WHERE source IS DISTINCT FROM folded
"""


class Event(NamedTuple):
    """A row of bronze: a record that could be read."""

    key: str | None  # none: of all rows (TRUNCATE)
    op: str
    lsn: int
    after: str | None
    log: str  # topic's id and partition
    offset: int


@dataclass(frozen=True)
class StoredObject:
    """An object of bronze: what its name, its metadata and its rows say."""

    log: str
    start: int
    end: int
    events: Sequence[Event]
    unreadable: int = 0


@dataclass(frozen=True)
class Tally:
    """What the check counted, of all that has landed.

    Attributes:
        records: all of them.
        changes: inserts, updates and deletes that have landed, repeated ones too.
        repeated: records that landed again, and changes that were sent again.
        broken: what is wrong with the chains of objects, in words.
        lost: keys whose row in the source is another than the stream says.
    """

    records: int
    changes: int
    repeated: int
    broken: frozenset[str]
    lost: frozenset[int]


class Check:
    """Reads what has landed of one table's changes; each object once."""

    def __init__(self, settings: Settings, table: Table, place: str = "") -> None:
        """``place`` is the folder that holds bronze's, if it is not the bucket itself."""
        self._settings = settings
        self._bronze = Bronze(settings)
        self._folder = f"{place}{FOLDER}/{topic_of(settings, table)}/"
        self._read: dict[Stored, StoredObject] = {}

    def tally(self) -> Tally:
        """Count; the source must be quiet, and all that it committed must have landed."""
        objects = self.objects()
        events = [event for one in objects for event in one.events]
        return Tally(
            records=len(events) + sum(one.unreadable for one in objects),
            changes=sum(event.op in ("c", "u", "d") for event in events),
            repeated=repeated(events),
            broken=frozenset(broken(objects)),
            lost=frozenset(self._lost(fold(events))),
        )

    def objects(self) -> list[StoredObject]:
        """What is there now: one that was overwritten is another, one that is gone is gone."""
        listed = self._bronze.objects(self._folder)
        self._read = {one: self._read.get(one) or self._object(one.key) for one in listed}
        return list(self._read.values())

    def _object(self, key: str) -> StoredObject:
        _, topic_id, partition, start = key.removesuffix(".parquet").split("+")
        log, end = f"{topic_id}+{partition}", int(self._bronze.metadata(key)[END])
        table = pq.read_table(pa.BufferReader(self._bronze.get(key)))
        rows = table.select(["key", "op", "lsn", "after", "offset"]).to_pylist()
        events = [
            Event(row["key"], row["op"], row["lsn"], row["after"], log, row["offset"])
            for row in rows
            if row["op"] is not None
        ]
        return StoredObject(log, int(start), end, events, len(rows) - len(events))

    def _lost(self, folded: Iterable[str]) -> list[int]:
        connection = connect_reader(self._settings, "drill")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(DIFFERING, (f"[{','.join(folded)}]",))
                return [key for (key,) in cursor.fetchall()]
        finally:
            connection.close()


def repeated(events: Sequence[Event]) -> int:
    """Records that are there again, and among the others, changes that are."""
    records = {(event.log, event.offset): event for event in events}
    changes = {(event.key, event.lsn, event.op) for event in records.values()}
    return len(events) - len(changes)


def broken(objects: Iterable[StoredObject]) -> list[str]:
    """Where an object does not begin at the end of the one before it, or is not in order itself."""
    found = []
    ends: dict[str, int] = defaultdict(int)
    for one in sorted(objects, key=lambda one: (one.log, one.start)):
        name = f"{one.log}, object {one.start} to {one.end}"
        if one.start != ends[one.log]:
            found.append(f"{name}: the one before it ends at {ends[one.log]}")
        if not all(one.start <= event.offset < one.end for event in one.events):
            found.append(f"{name}: it holds records of elsewhere")
        if one.unreadable:
            found.append(f"{name}: {one.unreadable} records could not be read")
        ends[one.log] = one.end
    return found


def fold(events: Iterable[Event]) -> list[str]:
    """The rows that the stream says are there, as JSON."""
    newest: dict[str, Event] = {}
    emptied = -1  # by the last TRUNCATE
    for event in events:
        if event.key is None:
            emptied = max(emptied, event.lsn)
        elif event.lsn >= newest.get(event.key, event).lsn:
            newest[event.key] = event
    return [e.after for e in newest.values() if e.after is not None and e.lsn > emptied]
