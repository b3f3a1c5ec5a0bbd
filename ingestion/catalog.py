"""What the source's catalog says about a table: its columns, its leaves, its size."""

from dataclasses import dataclass

from psycopg2 import extensions

from ingestion.column_types import Column
from ingestion.errors import DataError, MissingError, SettingsError
from ingestion.postgres import one_row
from ingestion.tables import Table

SNAPSHOT_COLUMN = "_snapshot_id"
# A JSON object of a row's values that Parquet cannot hold, by column; NULL if there are none.
UNREADABLE_COLUMN = "_unreadable"
PARTITION_COLUMN = "dt"
_RESERVED = (SNAPSHOT_COLUMN, UNREADABLE_COLUMN, PARTITION_COLUMN)


@dataclass(frozen=True)
class Leaf:
    """A relation that stores rows: the table itself, a partition or a child.

    ``name`` is quoted and qualified; ``blocks`` is its length in pages; ``filenode``
    is its file's number, which a TRUNCATE or a rewrite of the table changes.
    """

    name: str
    blocks: int
    filenode: int


_RELATION = """
SELECT to_regclass(%s)::oid, c.relkind
FROM (VALUES (to_regclass(%s))) AS t (oid) LEFT JOIN pg_class AS c ON c.oid = t.oid
"""

# A domain counts as the type it is over, through any number of domains.
_COLUMNS = """
WITH RECURSIVE base AS (
    SELECT a.attnum, a.atttypid AS type, a.atttypmod AS modifier
    FROM pg_attribute AS a
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, t.typbasetype, t.typtypmod
    FROM base AS b JOIN pg_type AS t ON t.oid = b.type
    WHERE t.typtype = 'd'
)
SELECT a.attname, format_type(a.atttypid, a.atttypmod), format_type(b.type, b.modifier)
FROM base AS b
JOIN pg_attribute AS a ON a.attrelid = %s AND a.attnum = b.attnum
JOIN pg_type AS t ON t.oid = b.type AND t.typtype <> 'd'
ORDER BY a.attnum
"""

_LEAF_PARTITIONS = """
WITH RECURSIVE tree AS (
    SELECT %s::oid AS oid
    UNION
    SELECT i.inhrelid FROM tree AS t JOIN pg_inherits AS i ON i.inhparent = t.oid
)
SELECT format('%%I.%%I', n.nspname, c.relname), c.relkind,
       pg_relation_size(c.oid) / current_setting('block_size')::bigint,
       pg_relation_filenode(c.oid)
FROM tree AS t
JOIN pg_class AS c ON c.oid = t.oid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind <> 'p'
ORDER BY c.oid
"""


def relation_oid(cursor: extensions.cursor, table: Table) -> int:
    """The oid of the table's source.

    Raises:
        MissingError: it does not exist (or its schema may not be looked into).
        SettingsError: it is a view, an index or another thing without rows of its own.
    """
    cursor.execute(_RELATION, (table.source, table.source))
    oid, kind = one_row(cursor)
    if oid is None:
        raise MissingError(
            f"table {table.source} does not exist in the source",
            "create it (`python -m ingestion source …` makes public.loan_applications)"
            " or correct `source` in the tables file",
        )
    if kind not in ("r", "p"):
        raise SettingsError(
            f"{table.source} is not a table",
            "only plain and partitioned tables can be ingested",
        )
    return int(oid)


def read_columns(cursor: extensions.cursor, table: Table) -> tuple[Column, ...]:
    """The table's columns in order.

    Raises:
        MissingError: the table, a key column or the cursor column is not there.
        DataError: two columns have the same name in Trino, which ignores case, or one
            has a reserved name.
    """
    oid = relation_oid(cursor, table)
    cursor.execute(_COLUMNS, (oid, oid))
    columns = tuple(Column(*row) for row in cursor.fetchall())
    names = [column.name for column in columns]
    lowered = [name.lower() for name in names]
    for name in lowered:
        if name in _RESERVED or lowered.count(name) > 1:
            raise DataError(
                f"{table.source}: column name {name!r} is taken in the lake",
                "rename the column in the source, or ingest through another table",
            )
    wanted = [*table.key, *([table.cursor.column] if table.cursor else [])]
    if missing := [name for name in wanted if name not in names]:
        raise MissingError(
            f"{table.source} has no column {missing[0]!r}",
            "correct `key` or `cursor` in the tables file",
        )
    return columns


def read_leaves(cursor: extensions.cursor, table: Table) -> tuple[Leaf, ...]:
    """Where the table's rows are stored.

    Raises:
        SettingsError: a partition is a foreign table, which has no pages.
    """
    cursor.execute(_LEAF_PARTITIONS, (relation_oid(cursor, table),))
    rows = cursor.fetchall()
    for name, kind, *_ in rows:
        if kind != "r":
            raise SettingsError(f"{name}, part of {table.source}, is a foreign table")
    return tuple(Leaf(name, int(blocks), int(filenode)) for name, _, blocks, filenode in rows)


def estimated_rows(cursor: extensions.cursor, leaves: tuple[Leaf, ...]) -> int | None:
    """PostgreSQL's estimate of the row count, or None before the first ANALYZE."""
    cursor.execute(
        "SELECT sum(reltuples)::bigint, min(reltuples)::bigint FROM pg_class"
        " WHERE oid = ANY (%s::regclass[])",
        ([leaf.name for leaf in leaves],),
    )
    row = one_row(cursor)
    return None if row[1] is None or row[1] < 0 else int(row[0])
