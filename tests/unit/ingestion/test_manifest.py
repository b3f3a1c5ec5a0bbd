"""Snapshots sort by their names, and a manifest is one line that reads back the same."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.batch.manifest import LandedColumn, LandedPart, Manifest
from ingestion.batch.snapshot import advisory_key, snapshot_id
from ingestion.errors import DataError

times = st.datetimes(datetime(2000, 1, 1), datetime(2999, 1, 1)).map(
    lambda naive: naive.replace(tzinfo=UTC)
)


def make(taken_at: datetime, **changed: object) -> Manifest:
    fields: dict[str, object] = {
        "snapshot_id": snapshot_id(taken_at),
        "table_name": "loans",
        "mode": "full",
        "lsn": 2**60,
        "xmin": 1,
        "xmax": 5,
        "xip": (2, 3),
        "taken_at": taken_at.isoformat(),
        "landed_at": taken_at.isoformat(),
        "cursor_column": None,
        "cursor_from": None,
        "cursor_to": None,
        "row_count": 1,
        "byte_count": 9,
        "parts": (LandedPart(object="s3://b/k", row_count=1, byte_count=9, sha256="00"),),
        "schema": (LandedColumn(name='a\n"schema":😀', source_type="text", type="varchar"),),
    }
    return Manifest.model_validate({**fields, **changed})


@given(times, times)
def test_ids_sort_as_their_times(one: datetime, other: datetime) -> None:
    assert (snapshot_id(one) < snapshot_id(other)) == (one < other)
    assert (snapshot_id(one) == snapshot_id(other)) == (one == other)


def test_an_id_is_the_time() -> None:
    taken_at = datetime(2026, 11, 23, 8, 15, 0, 123456, tzinfo=UTC)
    assert snapshot_id(taken_at) == "20261123T081500123456Z"
    assert make(taken_at).key == "batch_snapshots/dt=2026-11-23/loans+20261123T081500123456Z.json"


@given(times)
def test_a_manifest_is_one_line_and_reads_back(taken_at: datetime) -> None:
    manifest = make(taken_at)
    stored = manifest.to_json()
    assert stored.count(b"\n") == 1
    assert stored.endswith(b"\n")
    assert json.loads(stored)["schema"][0]["type"] == "varchar"
    assert Manifest.from_json(stored) == manifest


def test_a_manifest_from_before_the_storage_was_noted_is_read() -> None:
    old = json.loads(make(datetime(2026, 1, 1, tzinfo=UTC)).to_json())
    del old["storage"]
    assert Manifest.from_json(json.dumps(old).encode()).storage == ()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"snapshot_id": 5}', b"\xff"])
def test_an_invalid_manifest_is_an_error(content: bytes) -> None:
    with pytest.raises(DataError, match="is broken"):
        Manifest.from_json(content)


@given(st.text(), st.text())
def test_tables_have_locks_of_their_own(one: str, other: str) -> None:
    assert -(2**63) <= advisory_key(one) < 2**63
    assert (advisory_key(one) == advisory_key(other)) == (one == other)
