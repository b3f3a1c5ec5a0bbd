"""Batch scoring: what is due, in which parts, and what is decided."""

from datetime import UTC, datetime
from typing import cast

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import score
from ml.lake import Lake
from ml.scores import ScoreRun

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class MadeUpLake:
    """Gold at one snapshot, and which older ones are still there."""

    def __init__(self, snapshot: str, kept: tuple[str, ...] = ()) -> None:
        self.snapshot, self.kept = snapshot, kept

    def gold_snapshot(self) -> tuple[str, datetime]:
        return self.snapshot, NOW

    def has_snapshot(self, snapshot: str) -> bool:
        return snapshot in self.kept


def plan(lake: MadeUpLake, landed: list[ScoreRun]) -> ScoreRun:
    return score.plan(cast(Lake, lake), landed, "loans", 3)


def test_what_has_landed_is_not_due_again() -> None:
    landed = [ScoreRun("loans", 3, "7", "", NOW.isoformat(), row_count=5)]
    assert plan(MadeUpLake("7"), landed) == landed[0]


def test_a_run_adds_to_the_last_one_as_long_as_its_snapshot_is_there() -> None:
    landed = [ScoreRun("loans", 3, "7", "", NOW.isoformat(), row_count=5)]
    assert plan(MadeUpLake("8", kept=("7",)), landed).based_on == "7"
    assert plan(MadeUpLake("8"), landed).based_on == ""
    assert plan(MadeUpLake("8"), []).based_on == ""


def test_a_run_is_named_by_what_it_reads_and_not_by_when() -> None:
    first = ScoreRun("loans", 3, "7", "", "2026-01-02T00:00:00+00:00")
    assert first.run_id == "loans-version-000003-snapshot-7"
    assert first.key == f"loan_score_runs/loans/dt=2026-01-02/{first.run_id}.json"


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(1, 25))
def test_parts_do_not_depend_on_how_the_rows_came(sizes: list[int], rows: int) -> None:
    keys = iter(range(sum(sizes)))
    batches = [pd.DataFrame({"key": [next(keys) for _ in range(size)]}) for size in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "ROWS_IN_A_PART", rows)
        found = [list(part["key"]) for part in score.parts(iter(batches))]
    assert [key for part in found for key in part] == list(range(sum(sizes)))
    assert all(len(part) == rows for part in found[:-1])
    assert all(found)
