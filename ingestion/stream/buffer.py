"""Records as columns: one object's worth of one partition."""

import time
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from kafka.consumer.fetcher import ConsumerRecord

from ingestion.stream.envelope import read
from ingestion.stream.object_keys import LandedOffset, TopicPartitionId

# When an object is landed. Its size is what Trino reads at a time and what memory
# must hold: 16 MiB of JSON is about 1.5 MB of Parquet. Its age is the freshness that
# silver can have; a second makes at most 3,600 objects an hour of a busy partition.
FLUSH_ROWS = 50_000
FLUSH_BYTES = 16 * 2**20
FLUSH_SECONDS = 1.0

# The columns that are read from the record itself, the Change's fields.
_ENVELOPE_COLUMNS = ("key", "op", "before", "after", "lsn", "tx_id", "committed_at", "problem")
_TIME = pa.timestamp("us", "UTC")
_SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "op": pa.string(),
        "before": pa.string(),
        "after": pa.string(),
        "lsn": pa.int64(),
        "tx_id": pa.int64(),
        "committed_at": _TIME,
        "topic": pa.string(),
        "topic_id": pa.string(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "produced_at": _TIME,
        "landed_at": _TIME,
        "object_start": pa.int64(),
        "object_end": pa.int64(),
        "problem": pa.string(),
    }
)
# Long and nearly sorted numbers as differences, what is all different as it is, the
# rest by dictionary. Statistics are for what silver skips by.
_DELTAS = ("lsn", "tx_id", "committed_at", "offset", "produced_at")
_PLAIN = ("key", "before", "after")
_OPTIONS = {
    "compression": "zstd",
    "compression_level": 1,
    "store_schema": False,
    "use_dictionary": [n for n in _SCHEMA.names if n not in (*_DELTAS, *_PLAIN)],
    "column_encoding": dict.fromkeys(_DELTAS, "DELTA_BINARY_PACKED"),
    "write_statistics": ["lsn", "offset", "committed_at"],
}


class Buffer:
    """The records of one partition after the last landed object, until they are uploaded.

    Attributes:
        start: the offset at which its object starts.
        end: the offset at which the next object starts.
        first_timestamp: Kafka's time of the first record, in milliseconds.
        unreadable: the records that could not be read, and why.
    """

    def __init__(self, landed: LandedOffset) -> None:
        self.start = landed.end
        self.end = landed.end
        self._rows_before = landed.rows
        self.unreadable: list[tuple[ConsumerRecord, str]] = []
        self._bytes = 0
        self._since = 0.0
        self._columns: dict[str, list[Any]] = {name: [] for name in _ENVELOPE_COLUMNS}
        self._offsets: list[int] = []
        self._times: list[int] = []

    def __len__(self) -> int:
        return len(self._offsets)

    @property
    def landed_offset(self) -> LandedOffset:
        """How far the partition will have landed with it."""
        return LandedOffset(self.end, self._rows_before + len(self))

    @property
    def first_timestamp(self) -> int:
        return self._times[0]

    @property
    def is_full(self) -> bool:
        """Whether it must not take more records."""
        return len(self) >= FLUSH_ROWS or self._bytes >= FLUSH_BYTES

    @property
    def seconds_left(self) -> float:
        """Until it is due; without records, it never is."""
        if self.is_full:
            return 0.0
        return self._since + FLUSH_SECONDS - time.monotonic() if len(self) else FLUSH_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether it is time to upload it."""
        return len(self) > 0 and self.seconds_left <= 0

    def add(self, records: list[ConsumerRecord]) -> None:
        """Append records, which follow those that are in it."""
        if not self._offsets:
            self._since = time.monotonic()
        changes = [read(record.key, record.value) for record in records]
        for name, column in self._columns.items():
            field = attrgetter(name)
            column.extend([field(change) for change in changes])
        self._offsets.extend([record.offset for record in records])
        self._times.extend([record.timestamp for record in records])
        self._bytes += sum(
            [record.serialized_key_size + record.serialized_value_size for record in records]
        )
        self.end = records[-1].offset + 1
        for record, change in zip(records, changes, strict=True):
            if change.problem is not None:
                self.unreadable.append((record, change.problem))

    def to_parquet(self, log: TopicPartitionId) -> pa.Buffer:
        """Its records as the content of an object."""
        rows, read = len(self), self._columns
        columns = {
            **{name: _texts(read[name]) for name in ("key", "before", "after")},
            **{name: _texts(_encoded(read[name])) for name in ("op", "problem")},
            **{name: _numbers(read[name]) for name in ("lsn", "tx_id", "committed_at")},
            "topic": _texts([log.topic.encode()] * rows),
            "topic_id": _texts([log.topic_id.encode()] * rows),
            "partition": _numbers([log.partition] * rows),
            "offset": _numbers(self._offsets),
            "produced_at": _numbers([ms * 1_000 for ms in self._times]),
            "landed_at": _numbers([time.time_ns() // 1_000] * rows),
            "object_start": _numbers([self.start] * rows),
            "object_end": _numbers([self.end] * rows),
        }
        names = _SCHEMA.names
        table = pa.Table.from_arrays([columns[name] for name in names], names).cast(_SCHEMA)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **_OPTIONS)
        return sink.getvalue()


# pa.array() does the same, but imports pandas where that is installed: a second, and
# 50 MB that each consumer would hold for nothing.


def _texts(values: Sequence[bytes | None]) -> pa.Array:
    """An array of texts; the values are UTF-8."""
    data = [value or b"" for value in values]
    ends = np.cumsum([0, *map(len, data)], dtype=np.int32)
    buffers = [_validity(values), pa.py_buffer(ends), pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(pa.string(), len(data), buffers)


def _numbers(values: Sequence[int | None]) -> pa.Array:
    data = np.array([value or 0 for value in values], np.int64)
    return pa.Array.from_buffers(pa.int64(), len(data), [_validity(values), pa.py_buffer(data)])


def _validity(values: Sequence[object]) -> pa.Buffer | None:
    if None not in values:
        return None
    present = [value is not None for value in values]
    return pa.py_buffer(np.packbits(present, bitorder="little"))


def _encoded(values: Sequence[str | None]) -> list[bytes | None]:
    return [None if value is None else value.encode() for value in values]
