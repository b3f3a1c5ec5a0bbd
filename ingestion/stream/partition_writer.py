"""Writes one partition to bronze: a buffer that fills, and one that is uploaded."""

from collections.abc import Callable

from kafka.consumer.fetcher import ConsumerRecord

from ingestion.stream.buffer import Buffer
from ingestion.stream.object_keys import LandedOffset, TopicPartitionId
from ingestion.stream.upload import Upload

Land = Callable[[TopicPartitionId, Buffer], Upload]


class PartitionWriter:
    """Writes one assigned partition to bronze, starting after what has landed.

    At most one object is being uploaded, because the next object's key is known only when
    the current one has an end. So it holds at most two buffers and the records of one poll.

    Attributes:
        landed: up to where, and how many rows, it has landed.
        is_committed: whether Kafka knows.
        noted: the committed position up to which there is nothing to land after that end.
    """

    def __init__(self, log: TopicPartitionId, landed: LandedOffset, land: Land) -> None:
        self.log = log
        self.landed = landed
        self.is_committed = True
        self.noted = landed.end
        self._land = land
        self._buffer = Buffer(landed)
        self._landing: Upload | None = None

    @property
    def is_full(self) -> bool:
        """Whether it must not take more records for now."""
        return self._buffer.is_full

    @property
    def is_landing(self) -> bool:
        """Whether an object is under way."""
        return self._landing is not None

    @property
    def is_empty(self) -> bool:
        """Whether all that it was given has landed."""
        return not self.is_landing and not len(self._buffer)

    @property
    def seconds_left(self) -> float:
        """Until it wants to land what it holds."""
        return self._buffer.seconds_left

    def add(self, records: list[ConsumerRecord]) -> None:
        """Take records; they follow those that it took before."""
        self._buffer.add(records)

    def wants_to_land(self, *, at_once: bool = False) -> bool:
        """Whether ``land`` should be called now (``at_once``: however little it holds)."""
        if self.is_landing or not len(self._buffer):
            return False
        return at_once or self._buffer.is_due

    def land(self, position: int | None) -> None:
        """Begin to land what it holds.

        ``position`` is where Kafka's client would read on: up to there, nothing is
        left but what Kafka does not show (transactions' own records, and those of
        transactions that failed), so the object covers it too.
        """
        buffer = self._buffer
        buffer.end = max(buffer.end, position or 0)
        self._landing = self._land(self.log, buffer)
        self._buffer = Buffer(buffer.landed_offset)

    def finish_landing(self) -> int | None:
        """Record what has landed; the offset to read on from, if it is not the expected one.

        It is another when the object was there already and ends elsewhere.

        Raises:
            Exception: the object can never be landed.
        """
        if self._landing is None or (landed := self._landing.landed) is None:
            return None
        expected, self._landing = self._landing.buffer.end, None
        self.landed, self.noted, self.is_committed = landed, landed.end, False
        if landed.end == expected:
            return None
        self._buffer = Buffer(landed)
        return landed.end

    def abandon(self) -> None:
        """Forget what has not landed: the partition's next consumer reads it again."""
        if self._landing is not None:
            self._landing.abandon()
