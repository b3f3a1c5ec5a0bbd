"""Each PostgreSQL type lands in a type that holds all of it."""

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.batch.read import to_landed_type
from ingestion.column_types import Column, column_type


@pytest.mark.parametrize(
    ("source", "arrow", "trino"),
    [
        ("smallint", pa.int16(), "smallint"),
        ("integer", pa.int32(), "integer"),
        ("bigint", pa.int64(), "bigint"),
        ("real", pa.float32(), "real"),
        ("double precision", pa.float64(), "double"),
        ("boolean", pa.bool_(), "boolean"),
        ("character varying(10)", pa.string(), "varchar"),
        ("bytea", pa.binary(), "varbinary"),
        ("date", pa.date32(), "date"),
        ("timestamp without time zone", pa.timestamp("us"), "timestamp(6)"),
        ("timestamp(3) with time zone", pa.timestamp("us", "UTC"), "timestamp(6)"),
        ("numeric(12,2)", pa.decimal128(12, 2), "decimal(12,2)"),
        ("numeric(38,38)", pa.decimal128(38, 38), "decimal(38,38)"),
        ("numeric(3,5)", pa.decimal128(5, 5), "decimal(5,5)"),
        ("numeric(3,-2)", pa.decimal128(5, 0), "decimal(5,0)"),
        *[
            (kind, pa.string(), "varchar")
            for kind in (
                *("numeric", "numeric(39,2)", "numeric(38,-1)", "uuid", "json", "jsonb"),
                *("integer[]", "numeric(5,2)[]", "character(5)", "interval", "time(3)", "inet"),
            )
        ],
    ],
)
def test_types(source: str, arrow: pa.DataType, trino: str) -> None:
    found = column_type(source)
    assert (found.arrow, found.trino) == (arrow, trino)


@pytest.mark.parametrize("source", ["uuid", "numeric", "integer[]", "numeric(12,2)", "mood"])
def test_what_the_driver_would_change_is_asked_for_as_text(source: str) -> None:
    assert Column('a"b', source, source).select == '"a""b"::text AS "a""b"'


@given(st.integers(1, 38), st.integers(-10, 50), st.data())
def test_a_numeric_of_any_precision_and_scale_is_exact(
    precision: int, scale: int, data: st.DataObject
) -> None:
    digits = data.draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    value = Decimal(f"{digits}E{-scale}")  # scaleb() would round to 28 digits
    text = format(value, "f")
    column = Column("x", "", f"numeric({precision},{scale})")
    landed, unreadable = to_landed_type(column, pa.array([text, None]))
    assert unreadable == {}
    if pa.types.is_string(landed.type):
        assert landed.to_pylist() == [text, None]
    else:
        assert landed.to_pylist() == [value, None]


@pytest.mark.parametrize(
    ("source", "array", "unreadable"),
    [
        ("numeric(5,2)", pa.array(["1", None, "NaN"]), {2: "NaN"}),
        (
            "date",
            pa.array([0, None, -2147472692, -2147472691], pa.int32()).cast(pa.date32()),
            {2: "infinity", 3: "-infinity"},
        ),
        (
            "timestamp without time zone",
            pa.array([-(2**63) + 9, 0], pa.timestamp("us")),
            {0: "a time after the year 294246"},
        ),
    ],
)
def test_what_cannot_land_is_null_and_named(
    source: str, array: pa.Array, unreadable: dict[int, str]
) -> None:
    landed, found = to_landed_type(Column("x", source, source), array)
    assert found == unreadable
    assert [row for row in range(len(array)) if landed[row].as_py() is None] == sorted(
        {*unreadable, *(row for row in range(len(array)) if not array[row].is_valid)}
    )


def test_the_first_day_that_postgresql_knows_lands() -> None:
    first = pa.array([-2_440_588], pa.int32()).cast(pa.date32())
    assert to_landed_type(Column("x", "date", "date"), first) == (first, {})
