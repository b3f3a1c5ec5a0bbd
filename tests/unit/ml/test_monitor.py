"""Monitoring: the bins of a training set, and which thresholds are passed."""

import re
from datetime import date

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.paths import REPO
from ml import monitor, reference
from ml.monitor import Marts
from ml.prepare import prepare
from tests.unit.ml.made_up import applications, settings

LIMITS = settings().monitoring
TODAY, LONG_AGO = date(2026, 11, 28), date(2026, 11, 1)


def volume(day: date = TODAY, **shares: float) -> pd.DataFrame:
    row = {"policy_declined_percent": 50.0, "referred_percent": 0.0, **shares}
    return pd.DataFrame([{"scored_day": day, "applications": 1_000, **row}])


def drift(psi: float, feature: str = "credit_score", rows: int = 1_000) -> pd.DataFrame:
    values = [(LONG_AGO, feature, rows, 9.0), (TODAY, feature, rows, psi)]
    return pd.DataFrame(values, columns=["scored_day", "feature", "applications", "psi"])


def outcomes(auc: float | None = 0.9, error: float = 0.01, rows: int = 1_000) -> pd.DataFrame:
    values = [(date(2026, 10, 1), 1_000, 0.01, 0.9), (date(2026, 11, 1), rows, error, auc)]
    columns = ["decided_month", "applications", "calibration_error", "auc"]
    return pd.DataFrame(values, columns=columns)


def judge(*marts: pd.DataFrame) -> list[str]:
    return list(monitor.judge(Marts(*marts), LIMITS))


def test_nothing_is_said_while_all_is_well() -> None:
    assert judge(volume(), drift(0.1), outcomes()) == []
    nothing = [frame.iloc[:0] for frame in (volume(), drift(0), outcomes())]
    assert judge(*nothing) == []


@pytest.mark.parametrize(
    ("marts", "sentence"),
    [
        (
            (volume(), drift(0.41), outcomes()),
            "on 2026-11-28 credit_score differs from training by a PSI of 0.41, above 0.25",
        ),
        (
            (volume(), drift(0.3, "score"), outcomes()),
            "on 2026-11-28 score differs from training by a PSI of 0.30, above 0.25",
        ),
        (
            (volume(policy_declined_percent=71.0), drift(0), outcomes()),
            "on 2026-11-28 71.0 % are declined by a policy rule, above 65 %",
        ),
        (
            (volume(referred_percent=3.0), drift(0), outcomes()),
            "on 2026-11-28 3.0 % are referred: a feature is missing, above 2 %",
        ),
        (
            (volume(), drift(0), outcomes(auc=0.6)),
            "of the decisions in 2026-11 the AUC is 0.600, below 0.75",
        ),
        (
            (volume(), drift(0), outcomes(error=0.2)),
            "of the decisions in 2026-11 the calibration error is 0.200, above 0.05",
        ),
    ],
)
def test_a_threshold_that_is_passed_is_named(
    marts: tuple[pd.DataFrame, ...], sentence: str
) -> None:
    assert judge(*marts) == [sentence]


def test_few_applications_and_old_days_raise_no_alarm() -> None:
    assert judge(volume(), drift(5.0, rows=LIMITS.minimum_rows - 1), outcomes()) == []
    few = outcomes(auc=0.1, rows=LIMITS.minimum_outcomes - 1)
    assert judge(volume(), drift(0), few) == []
    assert judge(volume(), drift(0), outcomes(auc=None)) == []


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5, 7.0, 9.0]), min_size=1, max_size=200))
def test_a_number_lies_in_one_bin_and_the_shares_are_theirs(values: list[float]) -> None:
    numbers = np.array(values)
    bins = pd.DataFrame(reference.number_bins("x", numbers), columns=reference.COLUMNS)
    low = bins["lower_bound"].fillna(-np.inf).to_numpy()
    high = bins["upper_bound"].fillna(np.inf).to_numpy()
    inside = (numbers[:, None] >= low) & (numbers[:, None] < high)
    assert (inside.sum(axis=1) == 1).all()
    assert inside.mean(axis=0) == pytest.approx(bins["share"].to_numpy())
    assert (bins["share"] > 0).all()


def test_a_training_set_is_described_feature_by_feature() -> None:
    ours = settings()
    data = prepare(applications(), ours)
    found = reference.describe(data, np.linspace(0, 1, len(data.labels)), ours)
    assert set(found["feature"]) == {"score", *ours.features.names}
    assert found.groupby("feature")["share"].sum().to_numpy() == pytest.approx(1)
    purposes = found[found["feature"] == "loan_purpose"].set_index("category")["share"]
    assert purposes["MEDICAL"] == (data.frame["loan_purpose"] == "MEDICAL").mean()
    assert purposes["EDUCATION"] == 0
    assert found["trained_until"].unique() == [data.frame["decided_at"].max().tz_localize(None)]


def test_the_mart_knows_every_feature_of_the_model() -> None:
    sql = (REPO / "dbt_project/models/monitoring/score_drift_by_day.sql").read_text()
    known = re.findall(r"row\(\s*'(\w+)'", sql)
    assert sorted(known) == sorted(["score", *settings().features.names])
