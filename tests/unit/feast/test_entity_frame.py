"""Entities of a DataFrame: typed without loss, or refused in a sentence that names the column."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from feast_repo.entity_frame import EntityFrame, hive_type

TIME = pd.Timestamp("2026-01-01 12:00:00.123456", tz="UTC")


def frame(**columns: object) -> EntityFrame:
    given = {"application_id": [1, 2], "event_timestamp": [TIME, TIME], **columns}
    return EntityFrame(pd.DataFrame(given), "event_timestamp", {"application_id"})


def types(**columns: object) -> list[str]:
    return [hive_type(field.type) for field in frame(**columns).table.schema][2:-1]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([None, None], "varchar"),
        ([float("inf"), None], "double"),
        (np.array([1.5, 2.5], "float32"), "double"),
        (np.array([1, 2], "int8"), "integer"),
        (np.array([1, 2], "uint32"), "bigint"),
        (np.array([1, 2], "uint64"), "bigint"),
        (pd.array([1, None], "Int64"), "bigint"),
        ([True, None], "boolean"),
        (["O'Brien; --", ""], "varchar"),
        (pd.Categorical(["a", None]), "varchar"),
        (pd.Categorical([7, 8]), "bigint"),
        ([b"\x00", None], "varbinary"),
        ([date(2026, 1, 1), None], "date"),
        ([Decimal("1.5"), Decimal("20.25")], "decimal(4, 2)"),
        ([datetime(2026, 1, 1), None], "timestamp(6)"),
        ([TIME, None], "timestamp(6)"),
        ([["a"], ["b", "c"]], "array(varchar)"),
    ],
)
def test_a_column_has_its_type_in_trino(values: object, kind: str) -> None:
    assert types(note=values) == [kind]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([1, "a"], "note.*give all its values one type"),
        ([timedelta(1), None], "note.*duration.*no type in Trino"),
        ([{"a": 1}, {"a": 2}], "note.*struct.*no type in Trino"),
        (np.array([2**63, 1], "uint64"), "note.*give all its values one type"),
    ],
)
def test_what_trino_has_no_type_for_is_refused_by_name(values: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        frame(note=values)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (["1", "2"], "application_id.*a whole number, not"),
        ([1.5, 2.0], "application_id.*a whole number"),
    ],
)
def test_a_key_is_a_whole_number(keys: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        frame(application_id=keys)


def test_a_missing_key_does_not_make_the_others_floats() -> None:
    assert frame(application_id=[7.0, None]).table["c0"].to_pylist() == [7, None]


def test_names_that_sql_takes_for_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'Note'.*two of that name"):
        frame(Note=[1, 2], note=[1, 2])
    given = pd.DataFrame({"event_timestamp": [TIME], 0: [1]})
    with pytest.raises(ValueError, match="column 0: a column's name must be text"):
        EntityFrame(given, "event_timestamp", set())


@pytest.mark.parametrize(
    "given",
    [
        TIME,
        TIME.tz_localize(None),
        TIME.tz_convert("Asia/Tokyo"),
        TIME.as_unit("ns") + pd.Timedelta(999, "ns"),
        TIME.to_pydatetime().astimezone(timezone(timedelta(hours=-5))),
        "2026-01-01 12:00:00.123456",
        "2026-01-01T21:00:00.123456+09:00",
    ],
)
def test_a_time_is_the_same_in_every_representation(given: object) -> None:
    """Without a zone it is UTC; a nanosecond more is not yet the next microsecond."""
    one = frame(event_timestamp=[given, None])
    assert one.table["c1"].to_pylist() == [TIME.to_pydatetime(), None]
    assert (one.first, one.last) == (TIME.to_pydatetime(), TIME.to_pydatetime())


def test_times_before_1970_are_rounded_down_too() -> None:
    given = pd.Timestamp("1969-12-31 23:59:59.999999999", tz="UTC")
    assert frame(event_timestamp=[given, None]).last == datetime(
        1969, 12, 31, 23, 59, 59, 999_999, UTC
    )


@pytest.mark.parametrize("values", [["yesterday, about noon", None], [1767268800, 1767268801]])
def test_what_is_no_time_is_refused_by_name(values: object) -> None:
    with pytest.raises(ValueError, match="event_timestamp"):
        frame(event_timestamp=values)
