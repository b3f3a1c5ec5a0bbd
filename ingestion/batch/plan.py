"""Cuts what is to be read into slices that workers take one by one.

A full read is cut by page (TID range scans): that needs no index and no
arithmetic on the key, works for any key, is immune to gaps and skew, and was
1.4 times as fast as ranges of the primary key. An incremental read is one
slice, found by the cursor's index.
"""

# Identifiers are quoted or come from the checked tables file.
# ruff: noqa: S608

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ingestion.catalog import Leaf
from ingestion.column_types import Column

# 16 MiB of table: small enough that two workers end together, large enough that
# a slice's round trips do not show.
SLICE_BLOCKS = 2048


@dataclass(frozen=True)
class Slice:
    """A part of a table: a relation and the condition that its rows meet."""

    relation: str
    condition: str

    def query(self, columns: Iterable[Column]) -> str:
        """The SELECT that reads the slice."""
        expressions = ", ".join(column.select for column in columns)
        return f"SELECT {expressions} FROM {self.relation} WHERE {self.condition}"


def block_ranges(blocks: int, size: int = SLICE_BLOCKS) -> Iterator[range]:
    """Cut the pages ``0..blocks-1`` into ranges of ``size``, each page in exactly one."""
    for start in range(0, blocks, size):
        yield range(start, min(start + size, blocks))


def full_slices(leaves: Iterable[Leaf], size: int = SLICE_BLOCKS) -> list[Slice]:
    """Slices that hold each row of each leaf exactly once."""
    return [
        Slice(
            # ONLY, for the children of a table are leaves of their own.
            f"ONLY {leaf.name}",
            f"ctid >= '({pages.start},0)'::tid AND ctid < '({pages.stop},0)'::tid",
        )
        for leaf in leaves
        for pages in block_ranges(leaf.blocks, size)
    ]
