"""What of the stream's state needs attention."""

import re
from dataclasses import replace
from typing import Any

import pytest
from kafka import OffsetAndMetadata, TopicPartition

from ingestion.settings import Settings
from ingestion.stream.commit_metadata import CommitMetadata
from ingestion.stream.connect import Worker, _reason
from ingestion.stream.object_keys import LandedOffset
from ingestion.stream.offsets import ConsumerGroup, Position
from ingestion.stream.slot import Slot
from ingestion.stream.status import LAG_BYTES, LAG_RECORDS, Status, find_problems

SETTINGS = Settings.model_construct(
    stream_group="g", stream_consumers=2, connect_host="h", connect_port=1
)
SLOT = Slot("s", True, "reserved", None, 100, 1, 1)
LOST = replace(SLOT, wal_status="lost", invalidation_reason="x")
RUNNING = Worker("c", None, "RUNNING", "")
TASK = Worker("c", 0, "RUNNING", "")
GROUP = ConsumerGroup("Stable", {"g-1": [TopicPartition("t", 0)], "g-2": [TopicPartition("t", 1)]})
POSITIONS = [Position("t", 0, 5, 4, 5), Position("t", 1, 0, 0, LAG_RECORDS)]


def well() -> Status:
    return Status(GROUP, POSITIONS, {}, 0, [RUNNING, TASK], SLOT)


def test_a_healthy_stream_has_no_problem() -> None:
    assert find_problems(SETTINGS, well()) == []
    assert find_problems(SETTINGS, Status()) == []  # read_status reports what did not answer


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"uncaptured": ("public.a",)}, "the changes of public.a are not captured"),
        ({"slot": replace(SLOT, is_active=False)}, "the replication slot has no reader"),
        (
            {"slot": replace(SLOT, wal_status="lost", invalidation_reason="x")},
            r"slot is lost \(x\)",
        ),
        ({"slot": replace(SLOT, wal_status="extended")}, r"retains 1 bytes* \(extended\)"),
        ({"slot": replace(SLOT, lag_bytes=LAG_BYTES + 1)}, r"256\.0 MB of WAL behind"),
        ({"workers": []}, "Connect has no connector"),
        ({"workers": [RUNNING]}, "connector c has no task"),
        (
            {"workers": [RUNNING, replace(TASK, state="FAILED", reason="why")]},
            "connector c task 0 is FAILED: why",
        ),
        (
            {"workers": [replace(RUNNING, state="PAUSED"), TASK]},
            "connector c is PAUSED$",
        ),
        (
            {"group": ConsumerGroup("Dead", {})},
            "not in the consumers' group: consumer-1, consumer-2",
        ),
        ({"group": ConsumerGroup("Stable", {**GROUP.members, "g-2": []})}, "t 1 has no consumer"),
        ({"positions": [Position("t", 0, 0, 0, LAG_RECORDS + 1)]}, "t 0: 100,001 records have not"),
        ({"waiting_letters": 3}, "records that could not be read: 3"),
    ],
)
def test_each_thing_that_is_wrong_is_one_problem(changed: Any, complaint: str) -> None:
    (problem,) = find_problems(SETTINGS, replace(well(), **changed))
    assert re.search(complaint, problem.message)
    assert problem.hint


def test_a_trace_is_cut_down_to_its_last_cause() -> None:
    trace = (
        "a.ConnectException: failed\n\tat x\nCaused by: b.E: 1\n\tat y\nCaused by: c.E: 2\n\tat z"
    )
    assert _reason(trace) == "c.E: 2"
    assert _reason("a.E: only\n\tat x") == "a.E: only"
    assert _reason("") == ""


@pytest.mark.parametrize(("seen", "expected"), [(7, 7), (5, 5), (3, 5)])
def test_a_note_comes_back_from_kafka(seen: int, expected: int) -> None:
    note = CommitMetadata.of(CommitMetadata(LandedOffset(end=5, rows=4), seen).to_kafka())
    assert note == CommitMetadata(LandedOffset(end=5, rows=4), expected)


@pytest.mark.parametrize("text", [None, "", "7", "someone else's", "7 -1"])
def test_what_others_noted_is_no_note(text: str | None) -> None:
    assert CommitMetadata.of(OffsetAndMetadata(5, text, -1)) is None
