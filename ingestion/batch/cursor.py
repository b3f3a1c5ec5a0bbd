"""From where to where an incremental batch reads.

It reads the rows whose cursor is at least the last batch's end less an overlap.
What it cannot see: rows that were deleted, rows whose cursor is NULL or was not
moved by a change, and changes of a transaction that lasted longer than the
overlap. A full batch sees them all, and takes its place after a TRUNCATE or a
rewrite of the table (``run``).
"""

# Identifiers are quoted or come from the checked tables file.
# ruff: noqa: S608

import re
from dataclasses import dataclass

import psycopg2
from psycopg2 import extensions

from ingestion.batch.snapshot import Snapshot
from ingestion.column_types import Column
from ingestion.errors import SettingsError
from ingestion.postgres import first_line, one_row, quote_identifier, quote_literal
from ingestion.tables import Cursor, Table

# The types that can be a cursor, and the type of their overlap.
_OVERLAPS = {
    "timestamp with time zone": "interval",
    "timestamp without time zone": "interval",
    "date": "interval",
    "smallint": "bigint",
    "integer": "bigint",
    "bigint": "bigint",
}


@dataclass(frozen=True)
class CursorInterval:
    """A range of the cursor to read again: from ``begin`` up to, without, ``end``."""

    begin: str
    end: str


@dataclass(frozen=True)
class CursorRange:
    """What a batch covers of the cursor.

    ``start`` and ``end`` are texts as PostgreSQL writes them; ``start`` and
    ``condition``, by which the changed rows are found, are None for a full batch.
    """

    start: str | None = None
    end: str | None = None
    condition: str | None = None


def cursor_range(  # noqa: PLR0913, PLR0917
    sql: extensions.cursor,
    table: Table,
    columns: tuple[Column, ...],
    snapshot: Snapshot,
    previous: str | None,
    interval: CursorInterval | None = None,
) -> CursorRange:
    """The cursor's range for a batch; ``previous`` is the last one's end.

    The end is the greatest value seen, but never later than the snapshot: one
    row dated 2099 must not hide the changes of the years until then. A batch that
    reads an ``interval`` again leaves it where it was.

    Raises:
        SettingsError: the column's type is no cursor, or the overlap or the interval is
            not of its kind.
    """
    if table.cursor is None:
        return CursorRange()
    kind, overlap_kind = _checked(table, table.cursor, columns)
    name = quote_identifier(table.cursor.column)
    if interval and previous is not None:
        return _read_again(sql, table, name, kind, interval, previous)
    sql.execute(f"SELECT max({name}) IS NULL FROM {table.source}")
    empty = one_row(sql)[0]
    newest = f"(SELECT max({name}) FROM {table.source})"
    if overlap_kind == "interval":
        newest = f"least({newest}, {quote_literal(snapshot.taken_at.isoformat())}::{kind})"
    try:
        sql.execute(
            f"SELECT (%s::{kind} - %s::{overlap_kind})::{kind}::text, {newest}::text",
            (previous, str(table.cursor.overlap)),
        )
    except psycopg2.DataError as error:
        raise SettingsError(
            f"{table.name}: the cursor's overlap {table.cursor.overlap!r} cannot be"
            f" taken from a {kind}: {first_line(error)}",
            "correct `overlap` in the tables file",
        ) from None
    start, end = one_row(sql)
    condition = None if start is None else f"{name} >= {quote_literal(start)}"
    return CursorRange(start, previous if empty else end, condition)


def _read_again(  # noqa: PLR0913, PLR0917
    sql: extensions.cursor,
    table: Table,
    name: str,
    kind: str,
    interval: CursorInterval,
    previous: str,
) -> CursorRange:
    try:
        sql.execute(f"SELECT %s::{kind}::text, %s::{kind}::text", (interval.begin, interval.end))
    except psycopg2.DataError as error:
        raise SettingsError(
            f"{table.name}: {interval.begin!r} to {interval.end!r} is no range of a {kind}:"
            f" {first_line(error)}",
            "correct --from and --to",
        ) from None
    begin, end = one_row(sql)
    condition = f"{name} >= {quote_literal(begin)} AND {name} < {quote_literal(end)}"
    return CursorRange(begin, previous, condition)


def _checked(table: Table, cursor: Cursor, columns: tuple[Column, ...]) -> tuple[str, str]:
    """The cursor's type without its precision, and the type of its overlap."""
    declared = next(c.base_type for c in columns if c.name == cursor.column)
    kind = re.sub(r"\(\d+\)", "", declared)
    if kind not in _OVERLAPS:
        raise SettingsError(
            f"{table.name}: a cursor of type {declared} cannot be followed",
            f"use a column of one of: {', '.join(_OVERLAPS)}",
        )
    return kind, _OVERLAPS[kind]
