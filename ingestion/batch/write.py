"""Arrow to Parquet objects of bounded size.

A part is built in memory and uploaded whole, so an upload is one PUT with one
checksum, and a loader that is killed leaves no temporary file.
"""

import itertools
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion.batch.job import Job
from ingestion.batch.snapshot import Snapshot
from ingestion.catalog import SNAPSHOT_COLUMN, UNREADABLE_COLUMN
from ingestion.column_types import Column
from ingestion.tables import Table

PART_BYTES = 64 * 2**20
PART_ROWS = 2_000_000
# A row group is gathered in memory, uncompressed; rows may be wide.
GROUP_ROWS = 131_072
GROUP_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Part:
    """A landed object: its address, rows, bytes and SHA-256 (hex)."""

    object: str
    row_count: int
    byte_count: int
    sha256: str


class PartNames:
    """Hands out the keys of one snapshot's parts, in order, to any thread."""

    def __init__(self, table: Table, snapshot: Snapshot) -> None:
        folder = f"{table_folder(table)}/dt={snapshot.day.isoformat()}"
        self._stem = f"{folder}/{snapshot.id}+part-"
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def next(self) -> str:
        """The next part's key."""
        with self._lock:
            return f"{self._stem}{next(self._numbers):05}.parquet"


def table_folder(table: Table) -> str:
    """The folder of the table's parts."""
    return f"batch/{table.name}"


class PartWriter:
    """Writes one worker's batches into parts; ``close`` lands the last.

    A part is closed once it holds ``part_bytes`` of Parquet or ``part_rows``
    rows, so memory does not grow with the table.
    """

    def __init__(
        self,
        job: Job,
        names: PartNames,
        *,
        part_bytes: int = PART_BYTES,
        part_rows: int = PART_ROWS,
    ) -> None:
        self.parts: list[Part] = []
        self._bronze = job.bronze
        self._names = names
        self._snapshot_id = job.snapshot.id
        self._part_bytes = part_bytes
        self._part_rows = part_rows
        self._schema = landed_schema(job.columns)
        self._options = parquet_options(job.table, job.columns)
        self._group: list[pa.RecordBatch] = []
        self._group_rows = 0
        self._group_bytes = 0
        self._open_part()

    def write(self, batch: pa.RecordBatch) -> None:
        """Add the batch to the open part, and land that if it is full."""
        self._group.append(self._with_snapshot(batch))
        self._group_rows += batch.num_rows
        self._group_bytes += batch.nbytes
        full = self._rows + self._group_rows >= self._part_rows
        if full or self._group_rows >= GROUP_ROWS or self._group_bytes >= GROUP_BYTES:
            self._flush_group()
        if full or self._sink.tell() >= self._part_bytes:
            self._land()

    def close(self) -> None:
        """Land what is left, if anything is."""
        self._flush_group()
        if self._rows:
            self._land()

    def _with_snapshot(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        # A dictionary of one value costs nothing to fill and nothing to store.
        codes = pa.array(memoryview(bytes(batch.num_rows)), pa.int8())
        ids = pa.DictionaryArray.from_arrays(codes, pa.array([self._snapshot_id]))
        *values, unreadable = batch.columns
        return pa.RecordBatch.from_arrays([*values, ids, unreadable], schema=self._schema)

    def _open_part(self) -> None:
        self._sink = pa.BufferOutputStream()
        self._writer = pq.ParquetWriter(self._sink, self._schema, **self._options)
        self._rows = 0

    def _flush_group(self) -> None:
        if self._group_rows:
            self._writer.write_table(pa.Table.from_batches(self._group))
            self._rows += self._group_rows
        self._group, self._group_rows, self._group_bytes = [], 0, 0

    def _land(self) -> None:
        self._writer.close()
        key, content = self._names.next(), memoryview(self._sink.getvalue())
        sha256 = self._bronze.put_once(key, content, "application/vnd.apache.parquet")
        self.parts.append(Part(self._bronze.uri(key), self._rows, len(content), sha256))
        self._open_part()


def landed_schema(columns: Iterable[Column]) -> pa.Schema:
    """The Parquet schema: the source's columns, the snapshot's, the one of unreadable values."""
    fields = [pa.field(column.name, column.type.arrow) for column in columns]
    snapshot = pa.field(SNAPSHOT_COLUMN, pa.dictionary(pa.int8(), pa.string()))
    return pa.schema([*fields, snapshot, pa.field(UNREADABLE_COLUMN, pa.string())])


def parquet_options(table: Table, columns: Sequence[Column]) -> dict[str, object]:
    """How the columns are encoded: what took the least time for the least bytes.

    Long integers, times and decimals as differences (10 times as fast as a
    dictionary that overflows), everything else by dictionary. Statistics only
    where a query may skip by them: the key and the cursor.
    """
    deltas = [c.name for c in columns if _is_delta(c.type.arrow)]
    skippable = {*table.key, *([table.cursor.column] if table.cursor else [])}
    return {
        "compression": "zstd",
        "compression_level": 1,
        "store_schema": False,
        "store_decimal_as_integer": True,
        "use_dictionary": [
            *(c.name for c in columns if c.name not in deltas),
            SNAPSHOT_COLUMN,
            UNREADABLE_COLUMN,
        ],
        "column_encoding": dict.fromkeys(deltas, "DELTA_BINARY_PACKED"),
        "write_statistics": [c.name for c in columns if c.name in skippable],
    }


def _is_delta(arrow: pa.DataType) -> bool:
    if pa.types.is_decimal(arrow):
        return bool(arrow.precision <= 18)  # wider ones are not stored as integers
    return bool(arrow == pa.int64() or pa.types.is_timestamp(arrow))
