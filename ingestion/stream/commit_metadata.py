"""What a consumer notes beside the offset that it commits."""

from dataclasses import dataclass
from typing import Self

from kafka import OffsetAndMetadata

from ingestion.stream.object_keys import LandedOffset


@dataclass(frozen=True)
class CommitMetadata:
    """How far a partition has landed, and how far there is nothing more to land.

    The committed offset is where the newest object ends, for the chain goes on there.
    But what lies behind it may be records that Kafka does not show (the ends of
    transactions): without ``seen``, a partition that is all landed would seem to lag.

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
