"""A full read covers each page of each leaf once, however it is cut."""

from hypothesis import given
from hypothesis import strategies as st

from ingestion.batch.plan import block_ranges, full_slices
from ingestion.catalog import Leaf
from ingestion.column_types import Column


@given(st.integers(0, 5000), st.integers(1, 6000))
def test_each_page_is_in_exactly_one_range(blocks: int, size: int) -> None:
    ranges = list(block_ranges(blocks, size))
    assert [page for pages in ranges for page in pages] == list(range(blocks))
    assert all(0 < len(pages) <= size for pages in ranges)


def test_an_empty_table_has_no_slices() -> None:
    assert full_slices([Leaf("public.t", 0, 1)]) == []


def test_a_slice_reads_one_leaf_alone() -> None:
    first, second, other = full_slices([Leaf("s.a", 3, 1), Leaf("s.b", 1, 2)], size=2)
    columns = [Column("id", "bigint", "bigint"), Column("u", "uuid", "uuid")]
    assert first.query(columns) == (
        'SELECT "id", "u"::text AS "u" FROM ONLY s.a'
        " WHERE ctid >= '(0,0)'::tid AND ctid < '(2,0)'::tid"
    )
    assert second.condition == "ctid >= '(2,0)'::tid AND ctid < '(3,0)'::tid"
    assert other.relation == "ONLY s.b"
