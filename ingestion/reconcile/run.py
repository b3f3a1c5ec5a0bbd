"""Reconciles one table: reads its columns, compares, and returns the result."""

# Identifiers are quoted or come from the checked tables file.
# ruff: noqa: S608

from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.catalog import read_columns
from ingestion.column_types import Column
from ingestion.errors import MissingError, SettingsError
from ingestion.postgres import connect_reader, plain_errors, quote_identifier, quote_literal
from ingestion.reconcile.canonical import ColumnPair, IncomparableError, pair
from ingestion.reconcile.compare import (
    ColumnResult,
    Difference,
    compare_columns,
    find_differences,
)
from ingestion.reconcile.engines import postgres_side, trino_side
from ingestion.reconcile.unfolded import Key, unfolded_keys
from ingestion.settings import Settings
from ingestion.stream.wait import wait_until_landed
from ingestion.tables import Reconcile, Table
from ingestion.trino_client import Trino

WAIT_SECONDS = 120


@dataclass(frozen=True)
class TableResult:
    """What the comparison of one table found.

    ``in_both`` are the keys that are both in silver and among the rejected,
    ``left_out`` counts the keys that changed since silver was built and were not compared:
    None if all were. ``stale`` are the keys whose current values silver cannot hold, and
    ``not_compared`` the columns that only the source has; neither is judged.
    """

    table: str
    source_rows: int
    silver_rows: int
    columns: list[ColumnResult]
    differences: list[Difference]
    in_both: list[str]
    left_out: int | None = None
    stale: tuple[str, ...] = ()
    not_compared: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether source and silver hold the same, each key in one place."""
        same = self.source_rows == self.silver_rows and all(c.equal for c in self.columns)
        # The sums cover the rows that were left out, too: then the differences decide.
        left_some_out = self.left_out is not None or self.stale
        return bool(same or (left_some_out and not self.differences)) and not self.in_both


def reconcile_table(
    settings: Settings, table: Table, limit: int = 10, changes: str | None = None
) -> TableResult:
    """Compare the source with silver plus rejected; report ``limit`` differences.

    What was written to the source after the snapshot that silver is made of is a
    difference too: reconcile after the pipeline, while the source is idle. Or name
    bronze's table of ``changes``: then keys whose change has landed after the last run
    of dbt are left out, and all others are compared.

    Raises:
        SettingsError: the tables file does not name the table's silver table.
        MissingError: a table or column is not there.
        IncomparableError: a column's type in Trino does not fit the source's.
        ServiceError: a service cannot be reached.
    """
    if table.reconcile is None:
        raise SettingsError(
            f"{table.name} has no `reconcile` in the tables file",
            "add the names of its silver (and rejected) tables",
        )
    trino = Trino(settings)
    connection = connect_reader(settings, "ingestion reconcile")
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    try:
        with plain_errors("reading the catalog"), connection.cursor() as cursor:
            found = read_columns(cursor, table)
        columns, not_compared = _split(trino, table, table.reconcile, found)
        pairs = _pairs(trino, table.reconcile, columns)
        keys = [column for column in pairs if column.name in table.key]
        quoted = [quote_identifier(column.name) for column in columns]
        source = postgres_side(connection, table.source, keys, pairs)
        silver = trino_side(trino, _tables(table.reconcile), keys, pairs, quoted)
        names = [column.name for column in columns]
        source_rows, silver_rows, sums = compare_columns(names, source, silver)
        differ = source_rows != silver_rows or not all(column.equal for column in sums)
        recent = (
            _changed_keys(settings, trino, table, keys, changes) if differ and changes else None
        )
        stale = _stale_keys(trino, table.name, table.reconcile)
        leave_out = (recent or set()) | {f"V{key}" for key in stale}
        return TableResult(
            table.name,
            source_rows,
            silver_rows,
            sums,
            find_differences(names, source, silver, limit, leave_out) if differ else [],
            _in_both(trino, table.reconcile, table.key, limit),
            None if recent is None else len(recent),
            stale,
            not_compared,
        )
    finally:
        connection.close()


def _changed_keys(
    settings: Settings, trino: Trino, table: Table, key: Sequence[ColumnPair], changes: str
) -> set[str]:
    """The keys that changed since silver was built.

    Called after both sides were read; waits until what the source committed by then lands.
    """
    if table.reconcile is None or table.reconcile.progress is None:
        raise SettingsError(
            f"{table.name} has no `progress` under `reconcile` in the tables file",
            "add the name of silver's table of processed offsets",
        )
    wait_until_landed(settings, [table], WAIT_SECONDS, lambda _: None)
    types = trino.columns(table.reconcile.silver)
    typed = [Key(column, types[column.name.lower()]) for column in key]
    return unfolded_keys(trino, changes, table.reconcile.progress, typed)


def _stale_keys(trino: Trino, name: str, tables: Reconcile) -> tuple[str, ...]:
    """The keys of the rows whose newest values silver cannot hold."""
    if tables.unreadable is None:
        return ()
    rows = trino.query(
        f"SELECT DISTINCT row_key FROM {tables.unreadable}"
        f" WHERE table_name = {quote_literal(name)} ORDER BY row_key"
    )
    return tuple(str(key) for (key,) in rows)


def _split(
    trino: Trino, table: Table, tables: Reconcile, columns: Sequence[Column]
) -> tuple[list[Column], tuple[str, ...]]:
    """The columns that silver has, and the names of those that it does not have (yet)."""
    types = trino.columns(tables.silver)
    if not types:
        raise MissingError(f"table {tables.silver} does not exist in Trino", "run dbt first")
    lacking = tuple(column.name for column in columns if column.name.lower() not in types)
    if key := [name for name in table.key if name in lacking]:
        raise MissingError(
            f"{tables.silver} lacks the key's column {key[0]!r}", "add it to the dbt model"
        )
    return [column for column in columns if column.name not in lacking], lacking


def _pairs(trino: Trino, tables: Reconcile, columns: Sequence[Column]) -> list[ColumnPair]:
    """The columns' canonical texts, which must be the same in all of the tables.

    Reading the tables together, Trino makes one type of two, decimal and double
    even a double: a difference would be lost before the comparison.
    """
    first, *others = _tables(tables)
    types = _types(trino, first, columns)
    pairs = [pair(c, types[c.name], first) for c in columns]
    for table in others:
        found = _types(trino, table, columns)
        for column, wanted in zip(columns, pairs, strict=True):
            if pair(column, found[column.name], table) != wanted:
                raise IncomparableError(
                    f"column '{column.name}' is {found[column.name]} in {table} but"
                    f" {types[column.name]} in {first}",
                    "give both models' columns the same type",
                )
    return pairs


def _tables(reconcile: Reconcile) -> list[str]:
    return [t for t in (reconcile.silver, reconcile.rejected) if t is not None]


def _types(trino: Trino, table: str, columns: Sequence[Column]) -> dict[str, str]:
    """The types in Trino by the source's column names."""
    types = trino.columns(table)
    if not types:
        raise MissingError(f"table {table} does not exist in Trino", "run dbt first")
    if lacking := [column.name for column in columns if column.name.lower() not in types]:
        raise MissingError(
            f"{table} lacks the source's column {lacking[0]!r}", "add it to the dbt model"
        )
    return {column.name: types[column.name.lower()] for column in columns}


def _in_both(trino: Trino, tables: Reconcile, keys: Sequence[str], limit: int) -> list[str]:
    if tables.rejected is None:
        return []
    key = ", ".join(quote_identifier(name) for name in keys)
    rows = trino.query(
        f"SELECT {key} FROM {tables.silver} INTERSECT"
        f" SELECT {key} FROM {tables.rejected} ORDER BY {key} LIMIT {limit}"
    )
    return [", ".join(str(value) for value in row) for row in rows]
