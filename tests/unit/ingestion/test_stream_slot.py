"""A slot that PostgreSQL has invalidated is distinguished from one that lags."""

import pytest

from ingestion.errors import DataError
from ingestion.stream.slot import Slot, check_alive


def slot(status: str | None, reason: str | None = None) -> Slot:
    return Slot("s", False, status, reason, 100, 0, None)


@pytest.mark.parametrize("status", ["reserved", "extended", "unreserved"])
def test_a_slot_that_lags_is_alive(status: str) -> None:
    check_alive(slot(status))


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        (slot("lost", "wal_removed"), "wal_removed"),
        (slot("lost"), "lost"),
        (slot("unreserved", "idle_timeout"), "idle_timeout"),
    ],
)
def test_a_lost_slot_is_an_error(lost: Slot, why: str) -> None:
    with pytest.raises(DataError, match=rf"'s' is lost \({why}\)") as failure:
        check_alive(lost)
    assert "full batch" in failure.value.hint
