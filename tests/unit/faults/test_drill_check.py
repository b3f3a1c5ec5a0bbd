"""The drill's check finds what is wrong: without that, a drill that finds nothing says nothing."""

import pytest

from tests.faults.__main__ import in_random_order
from tests.faults.check import Event, StoredObject, broken, fold, repeated
from tests.faults.faults import FAULTS, KILLS


def event(lsn: int, key: str | None = "1", op: str = "u", offset: int = 0) -> Event:
    after = None if op in ("d", "t") else f"{key}@{lsn}"
    return Event(key, op, lsn, after, "log", offset or lsn)


def chain(*bounds: tuple[int, int]) -> list[StoredObject]:
    return [StoredObject("log", start, end, [event(start)]) for start, end in bounds]


def test_a_record_that_landed_again_is_found() -> None:
    assert repeated([event(1), event(2), event(3)]) == 0
    assert repeated([event(1), event(2), event(2)]) == 1


def test_a_change_that_was_sent_again_is_found() -> None:
    assert repeated([event(1), event(2), event(2, offset=7)]) == 1
    # Several rows of one statement may share a position in the log.
    assert repeated([event(1), event(1, key="2", offset=2)]) == 0


def test_each_repetition_is_counted_once() -> None:
    assert repeated([event(1), event(1), event(1, offset=9), event(1, offset=9)]) == 3


def test_a_whole_chain_is_whole_in_any_order() -> None:
    assert broken(chain((5, 9), (0, 5), (9, 12))) == []


@pytest.mark.parametrize(
    ("bounds", "complaint"),
    [
        ([(3, 5)], "object 3 to 5: the one before it ends at 0"),
        ([(0, 5), (9, 12)], "object 9 to 12: the one before it ends at 5"),
        ([(0, 5), (4, 12)], "object 4 to 12: the one before it ends at 5"),
    ],
)
def test_a_gap_or_an_overlap_is_found(bounds: list[tuple[int, int]], complaint: str) -> None:
    assert broken(chain(*bounds)) == [f"log, {complaint}"]


def test_an_objects_records_must_be_its_own_and_readable() -> None:
    assert broken([StoredObject("log", 0, 5, [event(5)])]) == [
        "log, object 0 to 5: it holds records of elsewhere"
    ]
    assert broken([StoredObject("log", 0, 5, [], unreadable=2)]) == [
        "log, object 0 to 5: 2 records could not be read"
    ]


def test_the_newest_event_has_the_state_of_a_row_in_any_order() -> None:
    events = [event(1, op="c"), event(3), event(2), event(4, key="2", op="c"), event(5, "2", "d")]
    assert fold(events) == fold(events[::-1]) == ["1@3"]


def test_a_truncate_ends_what_was_before_it() -> None:
    events = [event(1), event(2, key=None, op="t"), event(3, key="2")]
    assert fold(events) == ["2@3"]


def test_a_seed_gives_the_same_faults_and_each_as_often() -> None:
    order = in_random_order(7, 2 * len(FAULTS))
    assert order == in_random_order(7, 2 * len(FAULTS)) != in_random_order(8, 2 * len(FAULTS))
    assert all(order.count(fault) == 2 for fault in FAULTS)
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) > len(KILLS)
