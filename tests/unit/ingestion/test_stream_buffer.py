"""Records become the columns of an object, in the order in which they came."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka.consumer.fetcher import ConsumerRecord

from ingestion.stream import buffer
from ingestion.stream.buffer import Buffer
from ingestion.stream.object_keys import LandedOffset, TopicPartitionId

LOG = TopicPartitionId("loans.public.loan_applications", "0f" * 16, 3)
CHANGE = b'{"op":"u","source":{"lsn":9,"txId":8,"ts_us":1700000000000007},"after":{"a":"\xc3\xa4"}}'


def record(offset: int, key: bytes | None = b'{"a":1}', value: bytes | None = CHANGE) -> Any:
    sizes = [-1 if part is None else len(part) for part in (key, value)]
    return ConsumerRecord(
        LOG.topic, 3, 0, offset, 1_700_000_000_123, 1, key, value, [], None, *sizes, -1
    )


def test_the_columns_have_the_values_of_the_records() -> None:
    made = Buffer(LandedOffset(5, 0))
    made.add([record(7), record(8, None, b"no JSON")])
    made.add([record(12)])
    made.end = 14

    table = pq.read_table(pa.BufferReader(made.to_parquet(LOG)))

    assert table.column_names == [
        *("key", "op", "before", "after", "lsn", "tx_id", "committed_at"),
        *("topic", "topic_id", "partition", "offset", "produced_at", "landed_at"),
        *("object_start", "object_end", "problem"),
    ]
    first, unreadable, last = table.to_pylist()
    landed_at = first.pop("landed_at")
    assert landed_at.tzinfo is not None
    produced_at = datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC)
    where = {"topic": LOG.topic, "topic_id": LOG.topic_id, "partition": 3}
    assert first == {
        "key": '{"a":1}',
        "op": "u",
        "before": None,
        "after": '{"a":"ä"}',
        "lsn": 9,
        "tx_id": 8,
        "committed_at": datetime(2023, 11, 14, 22, 13, 20, 7, UTC),
        **where,
        "offset": 7,
        "produced_at": produced_at,
        "object_start": 5,
        "object_end": 14,
        "problem": None,
    }
    assert last == {**first, "offset": 12, "landed_at": landed_at}
    assert "malformed" in unreadable.pop("problem")
    assert unreadable == {
        **dict.fromkeys(["key", "op", "before", "after", "lsn", "tx_id", "committed_at"]),
        **where,
        "offset": 8,
        "produced_at": produced_at,
        "landed_at": landed_at,
        "object_start": 5,
        "object_end": 14,
    }
    assert [(found.offset, "malformed" in why) for found, why in made.unreadable] == [(8, True)]


def test_it_is_full_by_rows_or_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "FLUSH_ROWS", 3)
    made = Buffer(LandedOffset())
    made.add([record(0), record(1)])
    assert not made.is_full
    made.add([record(2)])
    assert made.is_full
    assert made.is_due

    monkeypatch.setattr(buffer, "FLUSH_BYTES", 2 * (len(CHANGE) + 7))
    made = Buffer(LandedOffset())
    made.add([record(0)])
    assert not made.is_full
    made.add([record(1)])
    assert made.is_full


def test_it_is_due_when_its_first_record_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Buffer(LandedOffset())
    monkeypatch.setattr(buffer, "FLUSH_SECONDS", 0.0)
    assert not made.is_due  # nothing in it
    made.add([record(0)])
    assert made.is_due
    monkeypatch.setattr(buffer, "FLUSH_SECONDS", 3600.0)
    assert not made.is_due
    assert made.seconds_left > 3000
