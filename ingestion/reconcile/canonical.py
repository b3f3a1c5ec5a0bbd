"""One text per value, the same in PostgreSQL and in Trino.

A value's text is prefixed by ``V`` and NULL is ``N``, so that NULL differs from
the empty string. Times are microseconds and dates are days since 1970; floats
are their IEEE bits, for the engines print them differently.
"""

import re
from dataclasses import dataclass

from ingestion.column_types import Column
from ingestion.errors import IngestionError
from ingestion.postgres import quote_identifier


class IncomparableError(IngestionError):
    """A column's type in Trino cannot hold what the source's type holds."""


@dataclass(frozen=True)
class ColumnPair:
    """A source column with the SQL for its canonical text in each engine."""

    name: str
    postgres: str
    trino: str


def pair(column: Column, trino_type: str, table: str) -> ColumnPair:
    """The canonical texts of ``column``, which is a ``trino_type`` in Trino's ``table``.

    Raises:
        IncomparableError: the types do not go together.
    """
    name = quote_identifier(column.name)
    expressions = _expressions(name, column, trino_type)
    if expressions is None:
        raise IncomparableError(
            f"column '{column.name}' is {column.source_type} in the source but"
            f" {trino_type} in {table}",
            "give the model's column a type that holds the source's values",
        )
    postgres, trino = expressions
    return ColumnPair(column.name, _nullable(postgres), _nullable(trino))


def _nullable(text: str) -> str:
    return f"coalesce('V' || {text}, 'N')"


def _expressions(name: str, column: Column, trino_type: str) -> tuple[str, str] | None:
    landed, kind = column.type.trino, _kind(trino_type)
    if _kind(landed) != kind:
        return None
    if kind == "decimal":
        return _decimals(name, landed, trino_type)
    if kind == "timestamp":
        return _timestamps(name, column, trino_type)
    if kind not in _SIMPLE:
        return None
    postgres, trino = _SIMPLE[kind]
    return postgres.format(name), trino.format(name)


# By the kind of type: the text in PostgreSQL and in Trino.
_AS_TEXT = ("{}::text", "CAST({} AS varchar)")
_SIMPLE = {
    "integer": _AS_TEXT,
    "boolean": _AS_TEXT,
    "text": _AS_TEXT,
    "date": (
        # Infinity minus a date is an error.
        "CASE WHEN isfinite({0}) THEN ({0} - date '1970-01-01')::text ELSE {0}::text END",
        "CAST(date_diff('day', date '1970-01-01', {}) AS varchar)",
    ),
    "double": ("encode(float8send({}), 'hex')", "lower(to_hex(to_ieee754_64({})))"),
    "real": ("encode(float4send({}), 'hex')", "lower(to_hex(to_ieee754_32({})))"),
    "varbinary": ("encode({}, 'hex')", "lower(to_hex({}))"),
}


def _kind(trino_type: str) -> str:
    plain = trino_type.split("(", maxsplit=1)[0].strip()
    if plain in ("tinyint", "smallint", "integer", "bigint"):
        return "integer"
    if plain in ("varchar", "char"):
        return "text"
    return plain


def _decimals(name: str, landed: str, trino_type: str) -> tuple[str, str]:
    # Both at the finer scale: a cast to the coarser would hide a difference.
    scale = max(_scale(landed), _scale(trino_type))
    return (
        f"{name}::numeric({scale + 38},{scale})::text",
        f"CAST(CAST({name} AS decimal(38,{scale})) AS varchar)",
    )


def _scale(decimal: str) -> int:
    return int(decimal.rstrip(")").split(",")[1])


def _timestamps(name: str, column: Column, trino_type: str) -> tuple[str, str] | None:
    # A finer time would be rounded below, which hides a difference.
    if _precision(trino_type) > 6:
        return None
    local = name
    if trino_type.endswith("with time zone"):
        if not column.base_type.endswith("with time zone"):
            return None
        local = f"{name} AT TIME ZONE 'UTC'"
    # Trino's to_unixtime is a double, too coarse for microseconds: the whole
    # seconds are counted, the fraction is taken from the text.
    local = f"CAST({local} AS timestamp(6))"
    seconds = (
        "date_diff('second', timestamp '1970-01-01 00:00:00',"
        f" CAST(date_trunc('second', {local}) AS timestamp(0)))"
    )
    fraction = f"CAST(substr(CAST({local} AS varchar), -6) AS bigint)"
    return (
        f"CASE WHEN isfinite({name}) THEN (extract(epoch FROM {name}) * 1000000)::bigint::text"
        f" ELSE {name}::text END",
        f"CAST({seconds} * 1000000 + {fraction} AS varchar)",
    )


def _precision(timestamp: str) -> int:
    digits = re.search(r"\((\d+)\)", timestamp)
    return int(digits[1]) if digits else 3  # Trino's own default
