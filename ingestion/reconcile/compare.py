"""Compares two sides: first the sums, then, where they differ, the rows."""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ingestion.reconcile.engines import ComparedRow, Side

# Buckets fetched at a time while looking for the first differences.
BUCKETS_PER_QUERY = 16


@dataclass(frozen=True)
class ColumnResult:
    """One column's checksums."""

    column: str
    source: int
    silver: int

    @property
    def equal(self) -> bool:
        """Whether the column is the same on both sides."""
        return self.source == self.silver


@dataclass(frozen=True)
class Difference:
    """One place where the sides differ.

    ``source`` and ``silver`` are canonical texts without their prefix, None for
    NULL; ``problem`` says what is wrong in a few words.
    """

    key: str
    column: str
    source: str | None
    silver: str | None
    problem: str


def compare_columns(
    names: Sequence[str], source: Side, silver: Side
) -> tuple[int, int, list[ColumnResult]]:
    """Row counts of both sides, and each column's checksums."""
    source_rows, source_sums = source.checksums()
    silver_rows, silver_sums = silver.checksums()
    columns = [ColumnResult(*row) for row in zip(names, source_sums, silver_sums, strict=True)]
    return source_rows, silver_rows, columns


def find_differences(
    names: Sequence[str],
    source: Side,
    silver: Side,
    limit: int,
    leave_out: Container[str] = (),
) -> list[Difference]:
    """The first ``limit`` differences, in order of buckets and keys.

    Rows whose key's canonical text is in ``leave_out`` are not judged.
    """
    left, right = source.buckets(), silver.buckets()
    differing = sorted(b for b in left.keys() | right.keys() if left.get(b) != right.get(b))
    found: list[Difference] = []
    for start in range(0, len(differing), BUCKETS_PER_QUERY):
        if len(found) >= limit:
            break
        some = differing[start : start + BUCKETS_PER_QUERY]
        sides = [
            [row for row in side.rows(some) if row[0] not in leave_out] for side in (source, silver)
        ]
        found += compare_rows(names, *sides)
    return list(islice(found, limit))


def compare_rows(
    names: Sequence[str], source: Sequence[ComparedRow], silver: Sequence[ComparedRow]
) -> list[Difference]:
    """All differences between two sets of rows: (key, value, value, …)."""
    left, right = _by_key(source), _by_key(silver)
    found = []
    for key in sorted(left.keys() | right.keys(), key=_key_order):
        found += _compare_key(names, key, left.get(key, []), right.get(key, []))
    return found


def _by_key(rows: Sequence[ComparedRow]) -> Mapping[str, list[ComparedRow]]:
    grouped: dict[str, list[ComparedRow]] = defaultdict(list)
    for key, *values in rows:
        grouped[key].append(tuple(values))
    return grouped


def _compare_key(
    names: Sequence[str], key: str, source: list[ComparedRow], silver: list[ComparedRow]
) -> list[Difference]:
    shown = _plain(key) or ""
    if not silver:
        return [Difference(shown, "", None, None, "missing in silver")]
    if not source:
        return [Difference(shown, "", None, None, "not in the source")]
    if len(source) != len(silver):
        problem = f"{len(silver)} times in silver, {len(source)} in the source"
        return [Difference(shown, "", None, None, problem)]
    pairs = zip(sorted(source), sorted(silver), strict=True)
    return [
        Difference(shown, name, _plain(a), _plain(b), "differs")
        for left, right in pairs
        for name, a, b in zip(names, left, right, strict=True)
        if a != b
    ]


def _plain(text: str) -> str | None:
    return None if text == "N" else text[1:]


def _key_order(key: str) -> tuple[int, str]:
    # Shorter first, so that numbers come in their own order.
    return (len(key), key)
