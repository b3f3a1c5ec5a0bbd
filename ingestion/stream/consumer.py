"""A consumer: polls its partitions, lands what they hold, commits what has landed.

The order of two writes gives exactly-once delivery: the object is uploaded first (see
``object_keys``), then its end offset is committed. If a consumer stops in between, the
next one starts at the last committed offset, finds that the object's key exists, and
continues after it. When a partition is revoked, its buffered records are dropped and
read again: about a second's worth.
"""

import threading
import time
from collections.abc import Collection

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    LogTruncationError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
    RetriableError,
)

from ingestion.errors import DataError, LockedError, ServiceError
from ingestion.settings import Settings
from ingestion.storage import Bronze
from ingestion.stream.buffer import Buffer
from ingestion.stream.client import address, is_connected, topic_id
from ingestion.stream.commit_metadata import CommitMetadata
from ingestion.stream.dead_letters import DeadLetters
from ingestion.stream.object_keys import LandedOffset, TopicPartitionId
from ingestion.stream.partition_writer import PartitionWriter
from ingestion.stream.status_reporter import StatusReporter, WriteLogLine
from ingestion.stream.upload import Upload, newest_landed_offset

Polled = dict[TopicPartition, list[ConsumerRecord]]

POLL_MS = 500
# Poll timeout while an upload is under way.
LANDING_POLL_MS = 20
# Timeout of a commit: a consumer must also poll regularly.
COMMIT_MS = 2_000
# How long a stopping consumer tries to upload its buffers.
STOP_SECONDS = 6.0
# How often `_note` commits the position after the last object.
METADATA_INTERVAL_SECONDS = 1.0
# Timeout of one upload attempt: long enough for a slow store, short enough to retry soon
# after a hang. Nothing else waits for it.
S3_TIMEOUT_SECONDS = 15


class Consumer:
    """The loop over one client of Kafka; everything happens in the caller's thread."""

    def __init__(
        self,
        settings: Settings,
        kafka: KafkaConsumer,
        report: WriteLogLine,
        *,
        skip_lost: bool = False,
    ) -> None:
        """``skip_lost``: skip records that Kafka deleted before they landed; else raise."""
        self._kafka = kafka
        self._report = report
        self._skip_lost = skip_lost
        # An upload retries by itself and reports it.
        self._bronze = Bronze(settings, attempts=1, timeout_seconds=S3_TIMEOUT_SECONDS)
        self._dead_letters = DeadLetters(settings, self._bronze)
        self._upload_status = StatusReporter(
            report, "upload failed, retrying", "upload recovered", patience=4
        )
        self._kafka_status = StatusReporter(
            report,
            f"no connection to Kafka at {address(settings)}, retrying",
            "reconnected to Kafka",
            patience=4,
        )
        self._polls_without_kafka = 0
        self._writers: dict[TopicPartition, PartitionWriter] = {}
        self._assigned: set[TopicPartition] = set()
        self._next_note = 0.0

    def run(self, stop: threading.Event) -> None:
        """Land records until ``stop`` is set; then land what is buffered, within seconds."""
        while not stop.is_set():
            self.poll_once()
        self._finish()

    @property
    def holds_records(self) -> bool:
        """Whether it has read records that have not landed."""
        return not all(writer.is_empty for writer in self._writers.values())

    def on_partitions_assigned(self, partitions: Collection[TopicPartition]) -> None:
        """Take over partitions; each is read once its start offset is known."""
        for partition in partitions:
            # With a position, the client does not look for one itself.
            self._kafka.seek(partition, 0)
            self._kafka.pause(partition)
            self._assigned.add(partition)

    def on_partitions_revoked(self, partitions: Collection[TopicPartition]) -> None:
        """Release partitions and drop their records that have not landed."""
        self._assigned.difference_update(partitions)
        writers = {p: self._writers.pop(p) for p in partitions if p in self._writers}
        for writer in writers.values():
            writer.abandon()
        if writers:
            self._report(f"partitions revoked: {_names(writers)}")

    def poll_once(self) -> None:
        """Poll once, and do what is due."""
        for partition, records in self._poll().items():
            self._writers[partition].add(records)
        self._begin()
        for partition, writer in self._writers.items():
            self._advance(partition, writer)
        self._commit()
        self._note()

    def _poll(self) -> Polled:
        try:
            polled: dict[TopicPartition, list[ConsumerRecord]] = self._kafka.poll(
                timeout_ms=self._poll_ms()
            )
        except OffsetOutOfRangeError as error:
            raise self._out_of_range(error.args[0]) from None
        except LogTruncationError as error:
            raise self._out_of_range(error.divergent_offsets) from None
        except FencedInstanceIdError:
            raise self._fenced() from None
        except RetriableError:
            # The broker is down and the client was looking up the group's coordinator,
            # the one request that it does not retry by itself.
            polled = {}
        if polled or is_connected(self._kafka):
            self._polls_without_kafka = 0
            self._kafka_status.works()
        else:
            self._polls_without_kafka += 1
            self._kafka_status.failed(tries=self._polls_without_kafka)
        return polled

    def _poll_ms(self) -> int:
        if any(writer.is_landing for writer in self._writers.values()):
            return LANDING_POLL_MS
        left = min((writer.seconds_left for writer in self._writers.values()), default=1.0)
        return max(0, min(int(left * 1000) + 1, POLL_MS))

    def _begin(self) -> None:
        """Find out where the new partitions start, and read them from there."""
        begun = []
        for partition in sorted(self._assigned):
            if (identity := topic_id(self._kafka, partition.topic)) is None:
                continue  # not yet known: next time
            log = TopicPartitionId(partition.topic, identity, partition.partition)
            try:
                landed = self._landed(partition, log)
            except RetriableError:
                continue
            except ServiceError as error:
                self._upload_status.failed(error.message)
                continue
            self._writers[partition] = PartitionWriter(log, landed, self._land)
            self._kafka.seek(partition, landed.end)
            self._kafka.resume(partition)
            begun.append(partition)
        if begun:
            self._assigned.difference_update(begun)
            self._report(f"partitions assigned: {_names(begun)}")

    def _landed(self, partition: TopicPartition, log: TopicPartitionId) -> LandedOffset:
        """Up to where the partition has landed: there its next object starts."""
        committed = self._kafka.committed(partition, metadata=True, timeout_ms=COMMIT_MS)
        first: int = self._kafka.beginning_offsets([partition], timeout_ms=COMMIT_MS)[partition]
        if committed is not None and (note := CommitMetadata.of(committed)):
            landed = note.landed
        elif committed is not None or first:
            # The committed offset expired, and the log may now start after the last
            # landed record; or the offset was changed by hand.
            landed = newest_landed_offset(self._bronze, log)
        else:
            landed = LandedOffset()
        if landed.end < first:
            lost = f"{_name(partition)}: offsets {landed.end} to {first - 1}"
            if not self._skip_lost:
                raise _lost(f"{lost} are deleted")
            self._report(f"skipping records that Kafka deleted, {lost}")
            landed = LandedOffset(first, landed.rows)
        return landed

    def _land(self, log: TopicPartitionId, buffer: Buffer) -> Upload:
        return Upload(self._bronze, self._dead_letters, self._upload_status, log, buffer)

    def _advance(
        self, partition: TopicPartition, writer: PartitionWriter, *, at_once: bool = False
    ) -> None:
        """Finish uploads, start those that are due, and pause or resume the partition."""
        read_on = writer.finish_landing()
        if read_on is not None:
            self._kafka.seek(partition, read_on)
        if writer.wants_to_land(at_once=at_once):
            self._check_topic(writer.log)
            writer.land(self._kafka.position(partition, timeout_ms=COMMIT_MS))
        if writer.is_full:
            self._kafka.pause(partition)
        else:
            self._kafka.resume(partition)

    def _commit(self) -> None:
        """Commit what has landed; what Kafka does not take now is committed later."""
        writers = {p: writer for p, writer in self._writers.items() if not writer.is_committed}
        if writers and self._commit_offsets(
            {p: CommitMetadata(writer.landed, writer.noted) for p, writer in writers.items()}
        ):
            for writer in writers.values():
                writer.is_committed = True

    def _note(self) -> None:
        """Commit the position up to which there is nothing to land after the last object."""
        if time.monotonic() < self._next_note:
            return
        self._next_note = time.monotonic() + METADATA_INTERVAL_SECONDS
        notes = {}
        for partition, writer in self._writers.items():
            if writer.is_empty and writer.is_committed:
                position = self._kafka.position(partition, timeout_ms=COMMIT_MS)
                if position is not None and position > writer.noted:
                    notes[partition] = CommitMetadata(writer.landed, position)
        if notes and self._commit_offsets(notes):
            for partition, note in notes.items():
                self._writers[partition].noted = note.seen

    def _commit_offsets(self, notes: dict[TopicPartition, CommitMetadata]) -> bool:
        offsets = {partition: note.to_kafka() for partition, note in notes.items()}
        try:
            self._kafka.commit(offsets, timeout_ms=COMMIT_MS)
        except FencedInstanceIdError:
            raise self._fenced() from None
        except (CommitFailedError, RebalanceInProgressError, RetriableError):
            return False  # the next poll resolves it, or revokes the partitions
        return True

    def _finish(self) -> None:
        """Land what is left; what does not land soon is read again by the next one."""
        deadline = time.monotonic() + STOP_SECONDS
        while self.holds_records:
            for partition, writer in self._writers.items():
                self._advance(partition, writer, at_once=True)
            if time.monotonic() > deadline:
                self._report("stopped before all records were uploaded; they will be read again")
                break
            time.sleep(LANDING_POLL_MS / 1000)
        self._commit()
        self._writers.clear()

    def _check_topic(self, log: TopicPartitionId) -> None:
        if topic_id(self._kafka, log.topic) not in (log.topic_id, None):
            raise DataError(
                f"topic {log.topic} was deleted and created again", "restart the consumer"
            )

    def _fenced(self) -> LockedError:
        name = self._kafka.config["group_instance_id"]
        return LockedError(
            f"another process has become {name}", "give each consumer a --number of its own"
        )

    def _out_of_range(self, partitions: Collection[TopicPartition]) -> DataError:
        """The log does not have what would be read next."""
        found = []
        for partition in sorted(partitions):
            position = self._kafka.position(partition)
            first = self._kafka.beginning_offsets([partition])[partition]
            end = self._kafka.end_offsets([partition])[partition]
            found.append(f"{_name(partition)} has offsets {first} to {end - 1}, but not {position}")
        return _lost("; ".join(found))


def _lost(what: str) -> DataError:
    return DataError(
        f"Kafka lost changes before they landed: {what}",
        "stop the consumers, let `python -m ingestion stream consume --skip-lost` read every"
        " partition, start them, and land a full batch: it holds what those changes did",
    )


def _name(partition: TopicPartition) -> str:
    return f"{partition.topic} {partition.partition}"


def _names(partitions: Collection[TopicPartition]) -> str:
    return ", ".join(_name(partition) for partition in sorted(partitions))
