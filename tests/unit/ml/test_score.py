"""Batch scoring: what is due, in which parts, and what is decided."""

from datetime import UTC, datetime
from typing import cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import export, score
from ml.lake import Lake
from ml.models import fit_logistic
from ml.prepare import prepare
from ml.scores import ScoreRun
from tests.unit.ml.made_up import applications, settings

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


def test_rules_go_before_the_model_and_the_unknown_is_referred() -> None:
    ours = settings()
    data = prepare(applications(), ours)
    model = fit_logistic(data.matrix, data.labels)
    content = export.to_onnx(model, ours.features).SerializeToString()
    frame = applications(200, seed=7).assign(features_as_of=pd.Timestamp(NOW))
    frame.loc[0, ["has_previous_default", "loan_purpose"]] = [True, "YACHT"]
    frame.loc[1, ["has_previous_default", "loan_purpose"]] = [False, "YACHT"]
    run = ScoreRun("loans", 3, "7", "", NOW.isoformat())
    found = score.decide(frame, run, ours, export.OnnxModel(content, ours.features))

    assert found.loc[0, ["decision", "score"]].tolist() == ["decline", 0.0]
    assert found.loc[0, "reasons"] == "The applicant has defaulted on an earlier loan."
    assert found.loc[1, "decision"] == "refer" and np.isnan(found.loc[1, "score"])
    assert found.loc[1, "reasons"] == "Missing or unknown: loan_purpose"
    rest = found.iloc[2:][~frame["has_previous_default"].iloc[2:].astype(bool)]
    assert set(rest["decision"]) == {"approve", "decline"}
    assert ((rest["score"] >= 0.5) == (rest["decision"] == "approve")).all()
    assert (rest.loc[rest["decision"] == "approve", "reasons"] == "").all()
    assert (rest.loc[rest["decision"] == "decline", "reasons"] == "The score is below 0.5.").all()
