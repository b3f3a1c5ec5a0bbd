"""PostgreSQL to Arrow: a worker's connection, which imports the shared snapshot.

By ADBC's low-level interface: its DB-API module imports pyarrow.dataset, and that pandas,
which takes longer than to land 45,000 rows.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import adbc_driver_postgresql
import pyarrow as pa
import pyarrow.compute as pc
from adbc_driver_manager import AdbcConnection, AdbcStatement, Error

from ingestion.batch.job import Job
from ingestion.batch.plan import Slice
from ingestion.batch.snapshot import APPLICATION
from ingestion.batch.stop import Stop
from ingestion.column_types import Column
from ingestion.errors import DataError, IngestionError, LockedError, ServiceError
from ingestion.postgres import NEWER_SETTINGS, denied, quote_literal, reader_uri

# The driver shifts PostgreSQL's epoch to Arrow's without looking: infinity, and
# times after the year 294246, wrap around to before the first day that
# PostgreSQL knows (24 November 4714 BC), where no true value can be.
_FIRST_DAY = -2_440_588
_FIRST_MICROSECOND = _FIRST_DAY * 86_400_000_000


class SliceReader:
    """Reads slices of one table, all in the same snapshot."""

    def __init__(self, connection: AdbcConnection, job: Job) -> None:
        self._connection = connection
        self._job = job

    def batches(self, piece: Slice) -> Iterator[pa.RecordBatch]:
        """Yield the slice's rows in batches of about 16 MB, in the landed types.

        Raises:
            DataError: a value that no Parquet type holds, with its column and key.
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
        for column, array in zip(self._job.columns, batch.columns, strict=True):
            try:
                arrays.append(to_landed_type(column, array))
            except UnlandableError as error:
                raise DataError(
                    f"{self._job.table.source}: column '{column.name}' holds"
                    f" {error.value} where {self._key(batch, error.row)}",
                    "Parquet cannot hold it as its type; correct it in the source, or"
                    " make the column unconstrained numeric or text",
                ) from None
        return pa.RecordBatch.from_arrays(arrays, [c.name for c in self._job.columns])

    def _key(self, batch: pa.RecordBatch, row: int) -> str:
        values = (f"{name} = {batch.column(name)[row]}" for name in self._job.table.key)
        return ", ".join(values)


class UnlandableError(Exception):
    """Row ``row`` of an array holds ``value``, which its landed type cannot hold."""

    def __init__(self, row: int, value: str) -> None:
        super().__init__(row, value)
        self.row = row
        self.value = value


def to_landed_type(column: Column, array: pa.Array) -> pa.Array:
    """``array``, as returned by the driver, in the type that lands.

    Raises:
        UnlandableError: for a NaN in a decimal, an infinite date or time.
    """
    wanted = column.type.arrow
    if pa.types.is_decimal(wanted):
        return _to_decimal(array, wanted)
    if pa.types.is_date32(wanted):
        _check_from(array.view(pa.int32()), _FIRST_DAY)
    elif pa.types.is_timestamp(wanted):
        _check_from(array.view(pa.int64()), _FIRST_MICROSECOND)
    return array if array.type == wanted else array.cast(wanted)


def _to_decimal(texts: pa.Array, wanted: pa.DataType) -> pa.Array:
    try:
        return texts.cast(wanted)
    except pa.ArrowInvalid:
        odd = pc.invert(pc.match_substring_regex(texts, r"^-?[0-9]+(\.[0-9]+)?$"))
        row = pc.index(odd, True).as_py()
        if row < 0:
            raise
        raise UnlandableError(row, str(texts[row])) from None


def _check_from(integers: pa.Array, first: int) -> None:
    low = pc.min(integers).as_py()
    if low is not None and low < first:
        row = pc.index(pc.less(integers, first), True).as_py()
        raise UnlandableError(row, "infinity (or a time after the year 294246)")


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
