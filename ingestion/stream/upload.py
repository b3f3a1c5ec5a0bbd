"""Uploads one object to bronze: retries until it succeeds, writes it at most once."""

import threading

from ingestion.errors import DataError, MissingError, ServiceError
from ingestion.storage import Bronze
from ingestion.stream.buffer import Buffer
from ingestion.stream.dead_letters import DeadLetter, DeadLetters
from ingestion.stream.object_keys import (
    END,
    FOLDER,
    ROWS,
    ROWS_SO_FAR,
    LandedOffset,
    TopicPartitionId,
)
from ingestion.stream.status_reporter import StatusReporter

# Each pause between two attempts is twice as long as the one before.
INITIAL_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 5.0


class Upload(threading.Thread):
    """Uploads a buffer in the background, so that its consumer can keep polling.

    It retries until it succeeds or is abandoned. The process does not wait for it when it
    exits: an object that still lands then is found by the next consumer.
    """

    def __init__(
        self,
        bronze: Bronze,
        dead_letters: DeadLetters,
        status: StatusReporter,
        log: TopicPartitionId,
        buffer: Buffer,
    ) -> None:
        super().__init__(name=f"upload {log.position}", daemon=True)
        self.buffer = buffer
        self._bronze = bronze
        self._dead_letters = dead_letters
        self._status = status
        self._log = log
        self._abandoned = threading.Event()
        self._landed: LandedOffset | None = None
        self._error: Exception | None = None
        self.start()

    @property
    def landed(self) -> LandedOffset | None:
        """How far the partition has landed now; None before the object has.

        That is to where the buffer ends; or, when an earlier try or another consumer had
        landed the object, to where that object ends.

        Raises:
            Exception: why it can never be landed.
        """
        if self._error is not None:
            raise self._error
        return self._landed

    def abandon(self) -> None:
        """Stop retrying. An attempt that is under way may still succeed."""
        self._abandoned.set()

    def run(self) -> None:
        """The thread."""
        try:
            self._land()
        except Exception as error:  # raised by `landed`
            self._error = error

    def _land(self) -> None:
        letters = [DeadLetter.of(self._log, *one) for one in reversed(self.buffer.unreadable)]
        content = memoryview(self.buffer.to_parquet(self._log))
        pause, tries = INITIAL_BACKOFF_SECONDS, 0
        while not self._abandoned.is_set():
            try:
                # Before the object: a consumer that finds the object skips its records.
                while letters:
                    self._dead_letters.land(letters[-1])
                    letters.pop()
                self._landed = self._put(content)
            except (ServiceError, MissingError) as error:
                tries += 1
                self._status.failed(error.message, tries)
                self._abandoned.wait(pause)
                pause = min(2 * pause, MAX_BACKOFF_SECONDS)
            else:
                self._status.works()
                return

    def _put(self, content: memoryview) -> LandedOffset:
        buffer, landed = self.buffer, self.buffer.landed_offset
        key = self._log.object_key(buffer.start, buffer.first_timestamp)
        metadata = {
            END: str(landed.end),
            ROWS: str(len(buffer)),
            ROWS_SO_FAR: str(landed.rows),
        }
        if self._bronze.put_first(key, content, "application/vnd.apache.parquet", metadata):
            return landed
        return landed_offset_of(self._bronze, key)


def landed_offset_of(bronze: Bronze, key: str) -> LandedOffset:
    """How far a partition has landed with this object.

    Raises:
        DataError: the object has no such metadata: no consumer has written it.
    """
    try:
        metadata = bronze.metadata(key)
        return LandedOffset(int(metadata[END]), int(metadata[ROWS_SO_FAR]))
    except (KeyError, ValueError):
        raise DataError(
            f"{bronze.uri(key)} has no end offset in its metadata",
            "no consumer wrote it: have the bucket's administrator look at it",
        ) from None


def newest_landed_offset(bronze: Bronze, log: TopicPartitionId) -> LandedOffset:
    """How far the partition has landed, as its newest object says.

    It lists all of the topic's objects: used when the committed offset has expired.
    """
    names = (key for key in bronze.keys(f"{FOLDER}/{log.topic}/") if f"/{log.position}+" in key)
    newest = max(names, key=lambda key: key.rsplit("/", 1)[1], default=None)
    return LandedOffset() if newest is None else landed_offset_of(bronze, newest)
