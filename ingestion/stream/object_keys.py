"""The names of a partition's objects, which follow from offsets alone.

Each object covers the offsets from its start, which is in its name, up to its end,
which is in its metadata; the next one starts there. So the objects of a partition
are a chain: who knows where it ends knows the next object's name, and of two who
try to write that one, only one can.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

FOLDER = "cdc"
# The names of the metadata are S3's: lower case, without underscores.
END = "end-offset"
ROWS = "rows"
ROWS_SO_FAR = "rows-so-far"


@dataclass(frozen=True)
class LandedOffset:
    """How far a partition has landed.

    Attributes:
        end: where the newest object ends, and the next one starts.
        rows: the rows of all its objects.
    """

    end: int = 0
    rows: int = 0


@dataclass(frozen=True)
class TopicPartitionId:
    """A partition of a topic; the id distinguishes topics of the same name."""

    topic: str
    topic_id: str
    partition: int

    @property
    def position(self) -> str:
        """Its part of an object's name."""
        return f"{self.topic}+{self.topic_id}+{self.partition:05}"

    def object_key(self, start: int, first_timestamp: int) -> str:
        """The key of the object that begins at ``start``.

        ``first_timestamp`` is Kafka's time, in milliseconds, of the first record at
        or after ``start``: the log never changes, so neither does the key.
        """
        time = utc(first_timestamp)
        folder = f"{FOLDER}/{self.topic}/dt={time:%Y-%m-%d}/hour={time:%H}"
        return f"{folder}/{self.position}+{start:020}.parquet"


def utc(milliseconds: int) -> datetime:
    """Kafka's time as a time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
