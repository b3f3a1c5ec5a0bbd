"""The Hive tables by which Trino reads bronze: metadata only, nothing is copied.

A table's columns are those of its newest landed snapshot, for that is what there
is to read; before the first one, those of the source. Days are projected from
the query's filter on ``dt``, so what lands is visible at once and no partition
is ever registered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ingestion.batch.manifest import FOLDER, newest_manifest
from ingestion.batch.snapshot import APPLICATION
from ingestion.batch.write import table_folder
from ingestion.catalog import PARTITION_COLUMN, SNAPSHOT_COLUMN, read_columns
from ingestion.postgres import connect_reader, plain_errors, quote_identifier
from ingestion.settings import Settings
from ingestion.storage import Bronze
from ingestion.tables import MANIFEST_TABLE, Table, Tables
from ingestion.trino_client import Trino

Columns = dict[str, str]
Action = Literal["created", "recreated", "unchanged"]

MANIFEST_COLUMNS: Columns = {
    "snapshot_id": "varchar",
    "table_name": "varchar",
    "mode": "varchar",
    "lsn": "bigint",
    "xmin": "bigint",
    "xmax": "bigint",
    "xip": "array(bigint)",
    "taken_at": "varchar",
    "landed_at": "varchar",
    "cursor_column": "varchar",
    "cursor_from": "varchar",
    "cursor_to": "varchar",
    "row_count": "bigint",
    "byte_count": "bigint",
    "parts": "array(row(object varchar, row_count bigint, byte_count bigint, sha256 varchar))",
    "schema": "array(row(name varchar, source_type varchar, type varchar))",
}


@dataclass(frozen=True)
class Ensured:
    """What was done about a table."""

    table: str
    action: Action


def ensure_tables(settings: Settings, tables: Tables, selected: Sequence[Table]) -> list[Ensured]:
    """Make the selected tables and the manifests' table exist with the right columns.

    Raises:
        MissingError: the bronze schema, or a table of the source, does not exist.
        ServiceError: a service cannot be reached.
    """
    bronze, trino = Bronze(settings), Trino(settings)
    wanted = [
        (table.name, table_folder(table), "PARQUET", _columns(settings, bronze, table))
        for table in selected
    ]
    wanted.append((MANIFEST_TABLE, FOLDER, "JSON", MANIFEST_COLUMNS))
    done = []
    for name, folder, file_format, columns in wanted:
        # The metastore would make a missing folder itself, and may not write here.
        bronze.put_folder(folder)
        full_name = f"{tables.bronze_schema}.{name}"
        ddl = create_statement(
            full_name, columns, bronze.uri(folder), file_format, str(tables.first_day)
        )
        done.append(Ensured(full_name, _ensure(trino, full_name, columns, ddl)))
    return done


def create_statement(
    table: str, columns: Columns, location: str, file_format: str, first_day: str
) -> str:
    """The CREATE TABLE of an external table with one partition a day.

    ``table`` is ``catalog.schema.name``, ``first_day`` is ISO 8601.
    """
    lines = [f"    {quote_identifier(name)} {kind}" for name, kind in columns.items()]
    # Until tomorrow, for the clocks of the source and of Trino may differ.
    lines.append(
        f"""    {PARTITION_COLUMN} date WITH (
        partition_projection_type = 'DATE',
        partition_projection_format = 'yyyy-MM-dd',
        partition_projection_range = ARRAY['{first_day}', 'NOW+1DAY'],
        partition_projection_interval = 1,
        partition_projection_interval_unit = 'DAYS'
    )"""
    )
    body = ",\n".join(lines)
    return f"""CREATE TABLE {table} (
{body}
) WITH (
    external_location = '{location}',
    format = '{file_format}',
    partitioned_by = ARRAY['{PARTITION_COLUMN}'],
    partition_projection_enabled = true
)"""


def _columns(settings: Settings, bronze: Bronze, table: Table) -> Columns:
    newest = newest_manifest(bronze, table.name)
    if newest is not None:
        columns = {column.name.lower(): column.type for column in newest.columns}
    else:
        connection = connect_reader(settings, APPLICATION)
        try:
            with plain_errors("reading the catalog"), connection.cursor() as cursor:
                found = read_columns(cursor, table)
        finally:
            connection.close()
        columns = {column.name.lower(): column.type.trino for column in found}
    return {**columns, SNAPSHOT_COLUMN: "varchar"}


def _ensure(trino: Trino, table: str, columns: Columns, ddl: str) -> Action:
    existing = trino.columns(table)
    if not existing:
        trino.query(ddl)
        return "created"
    if _same(existing, columns) and _location_and_range(trino, table, ddl):
        return "unchanged"
    # External: dropping it deletes nothing but its description.
    trino.query(f"DROP TABLE {table}")
    trino.query(ddl)
    return "recreated"


def _same(existing: Columns, wanted: Columns) -> bool:
    return existing == {**wanted, PARTITION_COLUMN: "date"}


def _location_and_range(trino: Trino, table: str, ddl: str) -> bool:
    """Whether the table's location and first day are the wanted ones."""
    shown = _squeezed(str(trino.query(f"SHOW CREATE TABLE {table}")[0][0]))
    return all(
        _squeezed(line).rstrip(",") in shown
        for line in ddl.splitlines()
        if "external_location" in line or "partition_projection_range" in line
    )


def _squeezed(sql: str) -> str:
    return "".join(sql.split())
