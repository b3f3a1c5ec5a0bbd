"""Replaces the source table's content by COPY, in one transaction."""

import csv
import io
import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib.resources import files
from itertools import islice
from typing import NamedTuple

import psycopg2
from psycopg2 import extensions

from ingestion.errors import MissingError
from ingestion.postgres import connect_owner, one_row, plain_errors, quote_identifier
from ingestion.progress import RowCounter, row_progress
from ingestion.settings import Settings
from ingestion.source.columns import TABLE, TABLE_COLUMNS


class CsvChunk(NamedTuple):
    """Some rows as headerless CSV in the order of the table's columns, UTF-8."""

    rows: int
    data: bytes | memoryview


def to_chunks(rows: Iterator[list[str]], size: int = 10_000) -> Iterator[CsvChunk]:
    """Group ``rows`` of texts into CSV chunks of ``size`` rows."""
    while batch := list(islice(rows, size)):
        text = io.StringIO()
        # A value that holds either of the terminator's characters is quoted, as
        # COPY demands.
        csv.writer(text, lineterminator="\r\n").writerows(batch)
        yield CsvChunk(len(batch), text.getvalue().encode())


def replace_content(
    settings: Settings,
    chunks: Iterator[CsvChunk],
    *,
    schema: str = "public",
    total: int | None = None,
) -> int:
    """Create the table if it is missing and replace its rows; return their number.

    TRUNCATE and COPY are one transaction: on any failure the old rows stay.

    Raises:
        DataError: a chunk's iterator raised it, or PostgreSQL refuses a row.
        LockedError: another session kept the table locked.
        ServiceError, MissingError: the server or the schema is not there.
    """
    connection = connect_owner(settings, "ingestion source")
    try:
        with (
            plain_errors(f"loading {schema}.{TABLE}"),
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(f"SET LOCAL search_path TO {quote_identifier(schema)}")
            cursor.execute("SELECT current_schema()")
            if one_row(cursor) == (None,):
                raise MissingError(f"schema {schema} does not exist", "CREATE SCHEMA first")
            cursor.execute(files("ingestion.source").joinpath("schema.sql").read_text())
            cursor.execute(f"TRUNCATE {TABLE}")
            return _copy(cursor, chunks, total)
    finally:
        connection.close()


def _copy(cursor: extensions.cursor, chunks: Iterator[CsvChunk], total: int | None) -> int:
    columns = ", ".join(TABLE_COLUMNS)
    with row_progress("loading", total) as counter, ChunkReader(chunks, counter) as reader:
        try:
            cursor.copy_expert(f"COPY {TABLE} ({columns}) FROM STDIN (FORMAT csv)", reader, 2**20)  # type: ignore[arg-type]
        except psycopg2.Error as error:
            # psycopg2 reports a failing read() as a cancelled query; what made
            # it fail is the error worth showing.
            if reader.failure is not None:
                raise reader.failure from None
            # Ctrl-C while the server was waited for comes as read() is entered, too
            # early to be caught in there; nothing else fails it without being caught.
            if "error in .read() call" in str(error):
                raise KeyboardInterrupt from None
            raise
        counter.finish(reader.rows)
        return reader.rows


class ChunkReader:
    """A file over chunks that are made in a thread, ahead of the server's reading.

    Generating rows and storing them each use one core; two chunks of look-ahead let
    both run in parallel in constant memory.
    """

    def __init__(self, chunks: Iterator[CsvChunk], counter: RowCounter) -> None:
        self.rows = 0
        self.failure: BaseException | None = None
        self._counter = counter
        self._chunks = chunks
        self._queue: queue.Queue[CsvChunk | BaseException | None] = queue.Queue(2)
        self._stopped = threading.Event()
        self._current = memoryview(b"")
        self._thread = threading.Thread(target=self._produce, daemon=True)

    def __enter__(self) -> "ChunkReader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        while self._thread.is_alive():
            # The producer may wait for room in the queue.
            with suppress(queue.Empty):
                self._queue.get_nowait()
            self._thread.join(0.05)

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes, and none at the end."""
        try:
            return self._read(size)
        except BaseException as error:  # Ctrl-C too
            self.failure = error
            raise

    def _read(self, size: int) -> bytes:
        if not self._current:
            item = self._queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                self._queue.put(None)
                return b""
            self.rows += item.rows
            self._counter.add(item.rows)
            self._current = memoryview(item.data)
        size = len(self._current) if size < 0 else size
        head, self._current = self._current[:size], self._current[size:]
        return bytes(head)

    def _produce(self) -> None:
        try:
            for chunk in self._chunks:
                if self._stopped.is_set():
                    return
                self._queue.put(chunk)
            self._queue.put(None)
        except BaseException as error:
            self._queue.put(error)
