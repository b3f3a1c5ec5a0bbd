"""The objects of a partition are one chain that holds each record once.

In all cases: consumers poll a few records or many, meet offsets that Kafka does not
deliver, die before or after an object has landed, commit it or not, commit an offset
that another one has passed, or run two at a time.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.consumer.fetcher import ConsumerRecord

from ingestion.errors import DataError
from ingestion.stream.buffer import Buffer
from ingestion.stream.object_keys import LandedOffset, TopicPartitionId
from ingestion.stream.partition_writer import PartitionWriter
from ingestion.stream.status_reporter import StatusReporter
from ingestion.stream.upload import Upload, landed_offset_of, newest_landed_offset

LOG = TopicPartitionId("loans.public.loan_applications", "0f" * 16, 3)
HOUR = 3_600_000


class Bucket:
    """What MinIO does with `If-None-Match: *`."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}

    def put_first(self, key: str, body: Any, _type: str, metadata: dict[str, str]) -> bool:
        return self.objects.setdefault(key, (bytes(body), metadata))[1] is metadata

    def metadata(self, key: str) -> dict[str, str]:
        return self.objects[key][1]

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def uri(self, key: str) -> str:
        return f"s3://bucket/{key}"


@dataclass
class Partition:
    """A log; `shown` are the offsets of records that a consumer sees."""

    shown: list[int]
    end: int
    bucket: Bucket = field(default_factory=Bucket)
    committed: LandedOffset = field(default_factory=LandedOffset)

    def record(self, offset: int) -> ConsumerRecord:
        value = b'{"op":"u","source":{"lsn":%d,"txId":1,"ts_us":1},"after":{}}' % offset
        time = 1_700_000_000_000 + offset * HOUR // 3
        return ConsumerRecord(
            LOG.topic, 3, 0, offset, time, 1, b'{"id":1}', value, [], None, 8, 60, -1
        )


class Reader:
    """A consumer of the partition, reduced to its writer."""

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.restart()

    def restart(self) -> None:
        self.position = self.partition.committed.end
        self.writer = PartitionWriter(LOG, self.partition.committed, self.start_landing)

    def start_landing(self, log: TopicPartitionId, buffer: Buffer) -> Upload:
        status = StatusReporter(pytest.fail, "", "")
        landing = Upload(self.partition.bucket, None, status, log, buffer)  # type: ignore[arg-type]
        landing.join()
        return landing

    def poll(self, records: int, beyond: bool) -> None:
        shown = [o for o in self.partition.shown if o >= self.position]
        if polled := shown[:records]:
            self.writer.add([self.partition.record(offset) for offset in polled])
            self.position = polled[-1] + 1
        if beyond:  # what Kafka does not show lies between these records and the next
            self.position = min(shown[records:], default=self.partition.end)

    def land(self) -> None:
        if self.writer.wants_to_land(at_once=True):
            self.writer.land(self.position)

    def finish(self) -> None:
        read_on = self.writer.finish_landing()
        if read_on is not None:
            self.position = read_on

    def commit(self) -> None:
        self.partition.committed = self.writer.landed


@st.composite
def partitions(draw: st.DrawFn) -> Partition:
    end = draw(st.integers(1, 60))
    shown = draw(st.sets(st.integers(0, end - 1), min_size=1))
    return Partition(sorted(shown), end)


steps = st.one_of(
    st.tuples(st.just("poll"), st.integers(1, 8), st.booleans()),
    st.sampled_from([("land",), ("finish",), ("commit",), ("restart",)]),
)


@given(partitions(), st.lists(st.tuples(st.integers(0, 1), steps), max_size=60))
def test_each_record_lands_once_in_a_chain_without_gaps(
    partition: Partition, schedule: list[tuple[int, tuple[Any, ...]]]
) -> None:
    readers = [Reader(partition), Reader(partition)]
    for who, (what, *arguments) in schedule:
        getattr(readers[who], what)(*arguments)
    # In the end, one is left to do its work.
    last = readers[0]
    while last.position < partition.end or not last.writer.is_empty:
        last.poll(5, True)
        last.land()
        last.finish()

    check_chain(partition)


def check_chain(partition: Partition) -> None:
    expected_start, offsets = 0, Counter[int]()
    for key in sorted(partition.bucket.objects, key=lambda key: key.rsplit("/", 1)[1]):
        content, metadata = partition.bucket.objects[key]
        table = pq.read_table(pa.BufferReader(content))
        start, end = int(key[-28:-8]), int(metadata["end-offset"])
        assert start == expected_start
        assert set(table["object_start"].to_pylist()) == {start}
        assert set(table["object_end"].to_pylist()) == {end}
        assert table.num_rows == int(metadata["rows"])
        assert offsets.total() + table.num_rows == int(metadata["rows-so-far"])
        found = table["offset"].to_pylist()
        assert found == sorted(found)
        assert start <= found[0]
        assert found[-1] < end
        # The key follows from the start alone.
        first = next(o for o in partition.shown if o >= start)
        assert key == LOG.object_key(start, partition.record(first).timestamp)
        offsets.update(found)
        expected_start = end
    assert offsets == Counter(partition.shown)
    assert expected_start > partition.shown[-1]


def test_an_object_is_named_by_its_start_and_its_first_records_time() -> None:
    assert LOG.object_key(12, 1_735_689_599_999) == (
        "cdc/loans.public.loan_applications/dt=2024-12-31/hour=23/"
        f"loans.public.loan_applications+{'0f' * 16}+00003+00000000000000000012.parquet"
    )


def test_the_end_of_a_chain_is_that_of_its_newest_object() -> None:
    bucket = Bucket()
    assert newest_landed_offset(bucket, LOG) == LandedOffset(0, 0)  # type: ignore[arg-type]
    other = TopicPartitionId(LOG.topic, LOG.topic_id, 4)
    for log, start in ((LOG, 9), (LOG, 100), (LOG, 20), (other, 500)):
        # Days later, but not by name: the hours' folders are listed in another order.
        metadata = {"end-offset": str(start + 5), "rows-so-far": str(start)}
        bucket.put_first(log.object_key(start, 10**13 - start * HOUR), b"", "", metadata)
    assert newest_landed_offset(bucket, LOG) == LandedOffset(105, 100)  # type: ignore[arg-type]


def test_an_object_that_no_consumer_wrote_is_an_error() -> None:
    bucket = Bucket()
    bucket.put_first("key", b"", "", {})
    with pytest.raises(DataError, match="s3://bucket/key has no end offset"):
        landed_offset_of(bucket, "key")  # type: ignore[arg-type]
