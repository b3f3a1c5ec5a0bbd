"""How a PostgreSQL type is read, stored in Parquet and named in Trino.

Types that Parquet and Trino hold exactly keep their type; every other type
lands as PostgreSQL's own text, which loses nothing.
"""

import re
from dataclasses import dataclass

import pyarrow as pa

from ingestion.postgres import quote_identifier

MAX_DECIMAL_PRECISION = 38


@dataclass(frozen=True)
class ColumnType:
    """One type in its three forms.

    Attributes:
        arrow: the type in Parquet.
        trino: the type of the column of the Hive table over the Parquet.
        as_text: whether the source must send it as text.
    """

    arrow: pa.DataType
    trino: str
    as_text: bool = False


_TEXT = ColumnType(pa.string(), "varchar", as_text=True)

_EXACT = {
    "smallint": ColumnType(pa.int16(), "smallint"),
    "integer": ColumnType(pa.int32(), "integer"),
    "bigint": ColumnType(pa.int64(), "bigint"),
    "real": ColumnType(pa.float32(), "real"),
    "double precision": ColumnType(pa.float64(), "double"),
    "boolean": ColumnType(pa.bool_(), "boolean"),
    "text": ColumnType(pa.string(), "varchar"),
    "character varying": ColumnType(pa.string(), "varchar"),
    "bytea": ColumnType(pa.binary(), "varbinary"),
    "date": ColumnType(pa.date32(), "date"),
    "timestamp without time zone": ColumnType(pa.timestamp("us"), "timestamp(6)"),
    # The Hive connector has no zone: the values are UTC.
    "timestamp with time zone": ColumnType(pa.timestamp("us", "UTC"), "timestamp(6)"),
}

_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")
_LENGTH = re.compile(r"\(\d+\)")


def column_type(source_type: str) -> ColumnType:
    """The forms of ``source_type``, which is as PostgreSQL's format_type() writes it."""
    if match := _NUMERIC.fullmatch(source_type):
        precision, scale = int(match[1]), int(match[2])
        # PostgreSQL allows numeric(3,5) and numeric(5,-2); Parquet does not.
        precision, scale = max(precision, scale, precision - scale), max(scale, 0)
        if precision > MAX_DECIMAL_PRECISION:
            return _TEXT
        # Arrow parses decimals faster than the driver decodes PostgreSQL's
        # binary numeric: as text they cost half the time, and lose nothing.
        return ColumnType(
            pa.decimal128(precision, scale),
            f"decimal({precision},{scale})",
            as_text=True,
        )
    return _EXACT.get(_LENGTH.sub("", source_type), _TEXT)


@dataclass(frozen=True)
class Column:
    """A column of the source: its name and its type as format_type() writes it.

    ``base_type`` differs from ``source_type`` for a column of a domain.
    """

    name: str
    source_type: str
    base_type: str

    @property
    def type(self) -> ColumnType:
        """The column's type in Arrow and Trino."""
        return column_type(self.base_type)

    @property
    def select(self) -> str:
        """The SQL expression that reads the column from the source."""
        name = quote_identifier(self.name)
        return f"{name}::text AS {name}" if self.type.as_text else name
