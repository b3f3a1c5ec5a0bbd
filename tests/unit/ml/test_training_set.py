"""What cannot be trained on is refused in a sentence; the same rows have the same hash."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml import leaks, training_set
from ml.errors import MlError
from ml.features import columns, encode, unusable
from ml.prepare import prepare
from ml.settings import DEFAULT_FILE, load_settings
from tests.unit.ml.made_up import applications, settings


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(MlError, match=r"500 decided applications are too few: 1,000 are needed"):
        training_set.check(applications(500), load_settings())


def test_one_label_is_refused() -> None:
    frame = applications()
    frame["loan_status"] = 0
    with pytest.raises(MlError, match="0 applications were approved"):
        training_set.check(frame, settings())


def test_an_empty_month_is_named_and_refused_only_by_a_setting() -> None:
    frame = applications()
    frame = frame[frame["decided_at"].dt.month != 2]
    assert prepare(frame, settings()).gaps == "no application was decided in 2024-02"
    assert prepare(applications(), settings()).gaps == ""
    strict = settings()
    checks = strict.checks.model_copy(update={"empty_months": "refuse"})
    with pytest.raises(MlError, match="no application was decided in 2024-02"):
        prepare(frame, strict.model_copy(update={"checks": checks}))


def test_a_long_gap_is_named_by_its_ends() -> None:
    """The demo's: the file's decisions lie years before the simulator's."""
    days = ["2019-12-31", "2020-01-01", "2020-03-05", "2020-07-01", "2026-11-28"]
    times = pd.Series(pd.to_datetime(days, utc=True))
    assert training_set.empty_months(times) == [
        "2020-02",
        "2020-04 to 2020-06 (3 months)",
        "2020-08 to 2026-10 (75 months)",
    ]


@given(st.sets(st.integers(0, 60), min_size=1))
def test_what_is_named_is_what_is_missing(months: set[int]) -> None:
    first = pd.Period("2020-01", "M")
    times = pd.Series([(first + month).start_time for month in months]).dt.tz_localize("UTC")
    named = 0
    for gap in training_set.empty_months(times):
        ends = re.findall(r"\d{4}-\d\d", gap)
        named += (pd.Period(ends[-1], "M") - pd.Period(ends[0], "M")).n + 1
    assert named == max(months) - min(months) + 1 - len(months)


def test_a_missing_feature_is_refused() -> None:
    with pytest.raises(MlError, match="the feature service has no credit_score"):
        training_set.check(applications().drop(columns="credit_score"), settings())


def test_a_planted_leak_fails_the_run() -> None:
    frame = applications()
    random = np.random.default_rng(1)
    frame["credit_history_years"] = frame["loan_status"] + random.normal(0, 0.1, len(frame))
    with pytest.raises(MlError, match="credit_history_years by itself has an AUC of"):
        prepare(frame, settings())


def test_a_leak_in_the_other_direction_or_in_a_text_is_found() -> None:
    labels = np.array([0, 0, 1, 1])
    assert leaks.single_feature_auc(pd.Series([4, 3, 2, 1]), labels) == 1
    assert leaks.single_feature_auc(pd.Series(["a", "a", "b", "b"]), labels) == 1
    assert leaks.single_feature_auc(pd.Series([1, 2, 1, 2]), labels) == 0.5


def test_the_same_rows_have_the_same_hash(tmp_path: Path) -> None:
    first = training_set.save(applications(), tmp_path / "one.parquet")
    again = training_set.save(applications(), tmp_path / "two.parquet")
    other = training_set.save(applications(seed=2), tmp_path / "three.parquet")
    assert first == again != other
    pd.testing.assert_frame_equal(training_set.load(tmp_path / "one.parquet"), applications())


def test_no_model_sees_who_is_declined_by_a_rule() -> None:
    frame = applications()
    data = prepare(frame, settings())
    assert not data.frame["has_previous_default"].any()
    assert data.declined["previous_default"] == frame["has_previous_default"].sum()
    assert len(data.all_labels) == len(frame)
    assert (data.all_labels[data.eligible] == data.labels).all()


def test_nothing_protected_is_a_column_of_the_matrix() -> None:
    found = load_settings()
    assert not [name for name in columns(found.features) if "gender" in name or "age_" in name]


def test_a_protected_feature_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.yml"
    text = DEFAULT_FILE.read_text()
    file.write_text(text.replace("    - credit_history_years\n", "    - age_years\n"))
    with pytest.raises(MlError, match="age_years must not be a feature"):
        load_settings(file)


def test_what_the_model_has_never_seen_is_not_scored_but_named() -> None:
    features = settings().features
    frame = applications(3)
    frame.loc[0, "loan_purpose"] = "YACHT"
    frame["annual_income"] = frame["annual_income"].where(frame.index != 1)
    found = unusable(encode(frame, features), features)
    assert found == ["loan_purpose", "annual_income", ""]
