"""PostgreSQL to Arrow: a worker's connection, which imports the shared snapshot.

By ADBC's low-level interface: its DB-API module imports pyarrow.dataset, and that pandas,
which takes longer than to land 45,000 rows.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import adbc_driver_postgresql
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_manager import AdbcConnection, AdbcStatement, Error

from ingestion.batch.job import Job
from ingestion.batch.plan import Slice
from ingestion.batch.snapshot import APPLICATION
from ingestion.batch.stop import Stop
from ingestion.catalog import UNREADABLE_COLUMN
from ingestion.column_types import Column
from ingestion.errors import DataError, IngestionError, LockedError, ServiceError
from ingestion.postgres import NEWER_SETTINGS, denied, quote_literal, reader_uri

# The driver shifts PostgreSQL's epoch to Arrow's without looking: infinity, and
# times after the year 294246, wrap around to before the first day that
# PostgreSQL knows (24 November 4714 BC), where no true value can be.
_FIRST_DAY = -2_440_588
_FIRST_MICROSECOND = _FIRST_DAY * 86_400_000_000
# PostgreSQL's own numbers for them, after the shift.
_INFINITE_DAYS = {-(2**31) + 10_956: "infinity", -(2**31) + 10_957: "-infinity"}
_INFINITE_MICROSECONDS = {
    -(2**63) + 10_957 * 86_400_000_000 - 1: "infinity",
    -(2**63) + 10_957 * 86_400_000_000: "-infinity",
}


class SliceReader:
    """Reads slices of one table, all in the same snapshot."""

    def __init__(self, connection: AdbcConnection, job: Job) -> None:
        self._connection = connection
        self._job = job

    def batches(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        """Yield the slice's rows in batches of about 16 MB, in the landed types.

        The last column names the row's values that no Parquet type holds (``unreadable``).

        Raises:
            DataError: the key itself is such a value.
            ServiceError: the connection broke.
        """
        with (
            _plain_errors(self._job.table.source, self._job.settings.source_reader_user),
            _execute(self._connection, piece.query(self._job.columns)) as reader,
        ):
            for batch in reader:
                yield self._convert(batch)

    def _convert(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        arrays = []
        found: dict[int, dict[str, str]] = defaultdict(dict)
        for column, array in zip(self._job.columns, batch.columns, strict=True):
            landed, values = to_landed_type(column, array)
            if values and column.name in self._job.table.key:
                raise DataError(
                    f"{self._job.table.source}: the key's column '{column.name}' holds"
                    f" {next(iter(values.values()))}",
                    "Parquet cannot hold it as its type; correct it in the source, or"
                    " make the column unconstrained numeric or text",
                )
            for row, value in values.items():
                found[row][column.name] = value
            arrays.append(landed)
        names = [c.name for c in self._job.columns]
        arrays.append(_as_json(found, batch.num_rows))
        return pa.RecordBatch.from_arrays(arrays, [*names, UNREADABLE_COLUMN])


def _as_json(found: Mapping[int, Mapping[str, str]], rows: int) -> pa.Array:
    if not found:
        return pa.nulls(rows, pa.string())
    texts = (json.dumps(found[row]) if row in found else None for row in range(rows))
    return pa.array(texts, pa.string())


def to_landed_type(column: Column, array: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """``array``, as returned by the driver, in the type that lands.

    A NaN in a decimal and an infinite date or time land as NULL; they are also returned, as
    PostgreSQL writes them, by their row.
    """
    wanted = column.type.arrow
    if pa.types.is_decimal(wanted):
        return _to_decimal(array, wanted)
    found: dict[int, str] = {}
    if pa.types.is_date32(wanted):
        array, found = _without_infinite(array, pa.int32(), _FIRST_DAY, _INFINITE_DAYS)
    elif pa.types.is_timestamp(wanted):
        array, found = _without_infinite(
            array, pa.int64(), _FIRST_MICROSECOND, _INFINITE_MICROSECONDS
        )
    return array if array.type == wanted else array.cast(wanted), found


def _to_decimal(texts: pa.Array, wanted: pa.DataType) -> tuple[pa.Array, dict[int, str]]:
    try:
        return texts.cast(wanted), {}
    except pa.ArrowInvalid:
        odd = pc.invert(pc.match_substring_regex(texts, r"^-?[0-9]+(\.[0-9]+)?$"))
        found = {row: str(texts[row]) for row in _rows(odd)}
        return pc.if_else(odd, None, texts).cast(wanted), found


def _without_infinite(
    array: pa.Array, integer: pa.DataType, first: int, names: Mapping[int, str]
) -> tuple[pa.Array, dict[int, str]]:
    integers = array.view(integer)
    low = pc.min(integers).as_py()
    if low is None or low >= first:
        return array, {}
    odd = pc.less(integers, first)
    found = {
        row: names.get(integers[row].as_py(), "a time after the year 294246") for row in _rows(odd)
    }
    return pc.if_else(odd, None, array), found


def _rows(mask: pa.Array) -> list[int]:
    """Where the mask is true; NULL is not."""
    rows: list[int] = pc.indices_nonzero(mask.fill_null(False)).to_pylist()
    return rows


@contextmanager
def open_reader(job: Job, stop: Stop) -> Iterator[SliceReader]:
    """Connect, import the snapshot and lock the table against rewrites.

    When ``stop`` is set, the connection's running statement is cancelled.

    Raises:
        LockedError: an ALTER or TRUNCATE waits for the table.
        ServiceError: the server cannot be reached, or the snapshot no longer exists.
    """
    exported = quote_literal(job.snapshot.exported)
    preparation = (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        f"SET TRANSACTION SNAPSHOT {exported}",
        # Without a lock of its own it would queue behind an ALTER that waits
        # for the snapshot: a deadlock; lock_timeout ends the wait.
        f"LOCK TABLE {job.table.source} IN ACCESS SHARE MODE",
    )
    with ExitStack() as opened:
        with _plain_errors(job.table.source, job.settings.source_reader_user):
            uri = reader_uri(job.settings, APPLICATION)
            database = opened.enter_context(adbc_driver_postgresql.connect(uri))
            connection = opened.enter_context(AdbcConnection(database))
            # Before the transaction, whose time it limits.
            with _execute(connection, NEWER_SETTINGS):
                pass
            connection.set_autocommit(False)
        opened.enter_context(stop.cancels(connection))
        with _plain_errors(job.table.source, job.settings.source_reader_user):
            for statement in preparation:
                with _execute(connection, statement):
                    pass
        yield SliceReader(connection, job)


@contextmanager
def _execute(connection: AdbcConnection, sql: str) -> Iterator[pa.RecordBatchReader]:
    """Run one statement; within the block, its rows can be read."""
    with AdbcStatement(connection) as statement:
        statement.set_sql_query(sql)
        stream, _ = statement.execute_query()
        with pa.RecordBatchReader.from_stream(stream) as reader:
            yield reader


@contextmanager
def _plain_errors(source: str, user: str) -> Iterator[None]:
    try:
        yield
    # What fails once rows are streaming, Arrow raises as an OSError without SQLSTATE.
    except (Error, OSError) as error:
        raise _translate(error, source, user) from None


def _translate(error: Error | OSError, source: str, user: str) -> IngestionError:
    what = f"reading {source}"
    text = str(error).split("ERROR:")[-1].strip().split("\n")[0]
    sqlstate = getattr(error, "sqlstate", None) or ""
    if sqlstate == "55P03":
        return LockedError(f"{what}: {text}", "another session changes the table; run again")
    if sqlstate == "42501":
        return denied(f"{what}: {text}", user)
    # Only these classes are errors in the data; a full disk, for example, is not.
    if sqlstate.startswith(("22", "23")):
        return DataError(f"{what}: {text}", "nothing became visible; correct it in the source")
    return ServiceError(f"{what}: {text}", "nothing became visible; run again")
