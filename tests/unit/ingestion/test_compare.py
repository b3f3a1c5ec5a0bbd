"""Comparing rows, without the engines that give them."""

import hashlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.column_types import Column
from ingestion.reconcile.canonical import IncomparableError, pair
from ingestion.reconcile.compare import compare_rows, find_differences
from ingestion.reconcile.engines import ComparedRow

NAMES = ["id", "x"]


class Rows:
    """A side in memory: a bucket is the key's last digit."""

    def __init__(self, rows: list[ComparedRow]) -> None:
        self._rows = rows
        self.fetched: list[str] = []

    def checksums(self) -> tuple[int, list[int]]:
        return len(self._rows), []

    def buckets(self) -> dict[str, tuple[int, int]]:
        grouped: dict[str, list[ComparedRow]] = {}
        for row in self._rows:
            grouped.setdefault(row[0][-1], []).append(row)
        return {name: (len(rows), sum(map(digest, rows))) for name, rows in grouped.items()}

    def rows(self, buckets: Sequence[str]) -> list[ComparedRow]:
        self.fetched += buckets
        return [row for row in self._rows if row[0][-1] in buckets]


def digest(row: ComparedRow) -> int:
    """Python's hash of tuples will not do: its sum often stays when two keys exchange values."""
    return int.from_bytes(hashlib.sha256(repr(row).encode()).digest())


def row(key: int, value: str | None) -> ComparedRow:
    return (f"V{key}", f"V{key}", "N" if value is None else f"V{value}")


tables = st.dictionaries(st.integers(0, 30), st.none() | st.text("ab", max_size=2))


@given(tables, tables)
def test_exactly_the_keys_that_differ_are_found(
    left: dict[int, str | None], right: dict[int, str | None]
) -> None:
    source, silver = (Rows([row(*item) for item in side.items()]) for side in (left, right))
    found = find_differences(NAMES, source, silver, limit=1000)
    missing = object()
    differing = {
        str(key)
        for key in left.keys() | right.keys()
        if left.get(key, missing) != right.get(key, missing)
    }
    assert {difference.key for difference in found} == differing


def test_only_buckets_that_differ_are_fetched() -> None:
    same = [row(key, "a") for key in range(100)]
    source, silver = Rows(same), Rows([row(7, "b") if r[0] == "V7" else r for r in same])
    (difference,) = find_differences(NAMES, source, silver, limit=10)
    assert source.fetched == silver.fetched == ["7"]
    assert (difference.key, difference.column) == ("7", "x")
    assert (difference.source, difference.silver) == ("a", "b")


def test_null_is_not_the_empty_text() -> None:
    (difference,) = compare_rows(NAMES, [row(1, None)], [row(1, "")])
    assert (difference.source, difference.silver) == (None, "")


def test_rows_of_one_key_are_compared_in_any_order() -> None:
    twice = [row(1, "a"), row(1, "b")]
    assert compare_rows(NAMES, twice, twice[::-1]) == []


def test_the_limit_is_kept_and_keys_come_in_order() -> None:
    found = compare_rows(NAMES, [row(key, "a") for key in (10, 9, 100)], [])
    assert [difference.key for difference in found] == ["9", "10", "100"]
    source = Rows([row(key, "a") for key in range(50)])
    assert len(find_differences(NAMES, source, Rows([]), limit=3)) == 3


@pytest.mark.parametrize(
    ("source", "trino"),
    [
        ("integer", "varchar"),
        ("text", "integer"),
        ("numeric(5,2)", "double"),
        ("timestamp without time zone", "timestamp(6) with time zone"),
        ("date", "timestamp(6)"),
        ("timestamp without time zone", "timestamp(9)"),
        ("timestamp with time zone", "timestamp(7) with time zone"),
    ],
)
def test_types_that_do_not_go_together_are_refused(source: str, trino: str) -> None:
    with pytest.raises(IncomparableError, match="column 'x'"):
        pair(Column("x", source, source), trino, "a.b.c")


@pytest.mark.parametrize(
    ("source", "trino"),
    [
        ("smallint", "bigint"),
        ("numeric(5,2)", "decimal(38, 10)"),
        ("timestamp with time zone", "timestamp(6)"),
        ("timestamp with time zone", "timestamp(6) with time zone"),
        ("uuid", "varchar"),
        ("real", "real"),
    ],
)
def test_types_that_go_together_have_a_text_each(source: str, trino: str) -> None:
    found: Any = pair(Column("x", source, source), trino, "a.b.c")
    assert found.postgres.startswith("coalesce('V' || ")
    assert found.trino.startswith("coalesce('V' || ")


def test_decimals_are_compared_at_the_finer_scale() -> None:
    """Cast to the source's scale, silver's 1.005 would pass for 1.01."""
    found = pair(Column("x", "numeric(5,2)", "numeric(5,2)"), "decimal(8,3)", "a.b.c")
    assert "decimal(38,3)" in found.trino
    assert ",3)" in found.postgres
