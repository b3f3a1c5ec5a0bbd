"""The metadata that a consumer commits with an offset."""

from dataclasses import dataclass
from typing import Self

from kafka import OffsetAndMetadata

from ingestion.stream.object_keys import LandedOffset


@dataclass(frozen=True)
class CommitMetadata:
    """How far a partition has landed, and how far there is nothing more to land.

    The committed offset is where the newest object ends: the next object starts there.
    After it there may be records that Kafka does not deliver (transaction markers):
    without ``seen``, a partition that has landed completely would seem to lag.

    Attributes:
        seen: offsets before it have landed, or are no records.
    """

    landed: LandedOffset
    seen: int

    def to_kafka(self) -> OffsetAndMetadata:
        """As Kafka keeps it."""
        return OffsetAndMetadata(self.landed.end, f"{self.seen} {self.landed.rows}", -1)

    @classmethod
    def of(cls, committed: OffsetAndMetadata) -> Self | None:
        """What was committed; None if it was by something else than a consumer of ours."""
        parts = (committed.metadata or "").split()
        if len(parts) != 2 or not all(part.isdecimal() for part in parts):
            return None
        seen, rows = map(int, parts)
        return cls(LandedOffset(committed.offset, rows), max(seen, committed.offset))
