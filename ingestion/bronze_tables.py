"""The Hive tables by which Trino reads bronze: metadata only, nothing is copied.

Each table has two: ``x``, the rows of its snapshots, and ``x_changes``, the changes
that came by the stream. The columns of ``x`` are those of its newest landed snapshot,
for that is what there is to read; before the first one, those of the source. A change
holds its row as JSON text, so its columns are always the same.

Days (and hours) are projected from the query's filter on ``dt`` (and ``hour``), so what
lands is visible at once and no partition is ever registered.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from ingestion.batch.manifest import FOLDER as MANIFEST_FOLDER
from ingestion.batch.manifest import newest_manifest
from ingestion.batch.snapshot import APPLICATION
from ingestion.batch.write import table_folder
from ingestion.catalog import (
    PARTITION_COLUMN,
    SNAPSHOT_COLUMN,
    UNREADABLE_COLUMN,
    read_columns,
)
from ingestion.postgres import connect_reader, plain_errors, quote_identifier
from ingestion.settings import Settings
from ingestion.storage import Bronze
from ingestion.stream.object_keys import FOLDER as STREAM_FOLDER
from ingestion.stream.topics import topic_of
from ingestion.tables import CHANGES_SUFFIX, MANIFEST_TABLE, Table, Tables
from ingestion.trino_client import Trino

Columns = dict[str, str]
TableAction = Literal["created", "recreated", "unchanged"]

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
CHANGE_COLUMNS: Columns = {
    "key": "varchar",
    "op": "varchar",
    "before": "varchar",
    "after": "varchar",
    "lsn": "bigint",
    "tx_id": "bigint",
    "committed_at": "timestamp(6)",
    "topic": "varchar",
    "topic_id": "varchar",
    "partition": "integer",
    "offset": "bigint",
    "produced_at": "timestamp(6)",
    "landed_at": "timestamp(6)",
    "object_start": "bigint",
    "object_end": "bigint",
    "problem": "varchar",
}


@dataclass(frozen=True)
class PartitionColumn:
    """A column that is a level of folders; ``projection`` says which values Trino tries."""

    name: str
    type: str
    projection: str


@dataclass(frozen=True)
class BronzeTable:
    """A table over the objects in a folder of the bronze bucket.

    ``name`` is ``catalog.schema.table``.
    """

    name: str
    folder: str
    format: Literal["PARQUET", "JSON"]
    columns: Columns
    partitions: tuple[PartitionColumn, ...]


@dataclass(frozen=True)
class Ensured:
    """What was done about a table."""

    table: str
    action: TableAction


def ensure_tables(settings: Settings, tables: Tables, selected: Sequence[Table]) -> list[Ensured]:
    """Make the selected tables and the manifests' table exist with the right columns.

    Raises:
        MissingError: the bronze schema, or a table of the source, does not exist.
        SettingsError: a table's ``source`` is not a name.
        ServiceError: a service cannot be reached.
    """
    bronze, trino = Bronze(settings), Trino(settings)
    wanted = _wanted(settings, bronze, tables, selected)
    return [ensure_table(bronze, trino, table) for table in wanted]


def ensure_table(bronze: Bronze, trino: Trino, table: BronzeTable) -> Ensured:
    """Make one table exist with the right columns, and its folder."""
    # The metastore would make a missing folder itself, and may not write here.
    bronze.put_folder(table.folder)
    return Ensured(table.name, _ensure(trino, table, bronze.uri(table.folder)))


def _wanted(
    settings: Settings, bronze: Bronze, tables: Tables, selected: Sequence[Table]
) -> Iterator[BronzeTable]:
    schema, day, hour = tables.bronze_schema, day_partition(tables.first_day), _HOUR
    for table in selected:
        rows, changes = f"{schema}.{table.name}", f"{schema}.{table.name}{CHANGES_SUFFIX}"
        columns = _columns(settings, bronze, table)
        yield BronzeTable(rows, table_folder(table), "PARQUET", columns, (day,))
        folder = f"{STREAM_FOLDER}/{topic_of(settings, table)}"
        yield BronzeTable(changes, folder, "PARQUET", CHANGE_COLUMNS, (day, hour))
    manifests = f"{schema}.{MANIFEST_TABLE}"
    yield BronzeTable(manifests, MANIFEST_FOLDER, "JSON", MANIFEST_COLUMNS, (day,))


def day_partition(first: date) -> PartitionColumn:
    """The days since the first one, as folders ``dt=…``."""
    # Until tomorrow, for the clocks of the source and of Trino may differ.
    return PartitionColumn(
        PARTITION_COLUMN,
        "date",
        f"""partition_projection_type = 'DATE',
        partition_projection_format = 'yyyy-MM-dd',
        partition_projection_range = ARRAY['{first}', 'NOW+1DAY'],
        partition_projection_interval = 1,
        partition_projection_interval_unit = 'DAYS'""",
    )


_HOUR = PartitionColumn(
    "hour",
    "integer",
    """partition_projection_type = 'INTEGER',
        partition_projection_range = ARRAY['0', '23'],
        partition_projection_digits = 2""",
)


def create_statement(table: BronzeTable, location: str) -> str:
    """The CREATE TABLE of an external table whose partitions are projected."""
    lines = [f"    {quote_identifier(name)} {kind}" for name, kind in table.columns.items()]
    for partition in table.partitions:
        lines.append(
            f"    {partition.name} {partition.type} WITH (\n        {partition.projection}\n    )"
        )
    body = ",\n".join(lines)
    partitioned_by = ", ".join(f"'{partition.name}'" for partition in table.partitions)
    return f"""CREATE TABLE {table.name} (
{body}
) WITH (
    external_location = '{location}',
    format = '{table.format}',
    partitioned_by = ARRAY[{partitioned_by}],
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
    return {**columns, SNAPSHOT_COLUMN: "varchar", UNREADABLE_COLUMN: "varchar"}


def _ensure(trino: Trino, table: BronzeTable, location: str) -> TableAction:
    ddl = create_statement(table, location)
    existing = trino.columns(table.name)
    if not existing:
        trino.query(ddl)
        return "created"
    if _same(existing, table) and _location_and_range(trino, table.name, ddl):
        return "unchanged"
    # External: dropping it deletes nothing but its description.
    trino.query(f"DROP TABLE {table.name}")
    trino.query(ddl)
    return "recreated"


def _same(existing: Columns, wanted: BronzeTable) -> bool:
    partitions = {partition.name: partition.type for partition in wanted.partitions}
    return existing == {**wanted.columns, **partitions}


def _location_and_range(trino: Trino, table: str, ddl: str) -> bool:
    """Whether the table's location and its partitions' ranges are the wanted ones."""
    shown = _squeezed(str(trino.query(f"SHOW CREATE TABLE {table}")[0][0]))
    return all(
        _squeezed(line).rstrip(",") in shown
        for line in ddl.splitlines()
        if "external_location" in line or "partition_projection_range" in line
    )


def _squeezed(sql: str) -> str:
    return "".join(sql.split())
