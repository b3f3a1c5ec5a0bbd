"""Metrics of scores, and their intervals."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.metrics import auc_difference, ece, estimates, ks, measure


def test_calibration_error_is_the_distance_of_what_is_said_and_what_is() -> None:
    labels = np.array([0, 1, 1, 1])
    assert ece(labels, np.full(4, 0.75)) == 0
    assert ece(labels, np.full(4, 0.35)) == pytest.approx(0.4)
    # Two bins of two rows: off by 0.45 and 0.05.
    assert ece(labels, np.array([0.05, 0.05, 0.95, 0.95])) == pytest.approx((0.45 + 0.05) / 2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50), st.integers(0, 2**32))
def test_calibration_error_lies_between_0_and_1(scores: list[float], seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 2, len(scores))
    assert 0 <= ece(labels, np.array(scores)) <= 1


def test_ks_is_1_where_scores_separate_and_0_where_they_say_nothing() -> None:
    labels = np.array([0, 0, 1, 1])
    assert ks(labels, np.array([0.1, 0.2, 0.8, 0.9])) == 1
    assert ks(labels, np.full(4, 0.5)) == 0


def test_intervals_hold_the_figure_and_narrow_with_more_rows() -> None:
    random = np.random.default_rng(1)
    widths = []
    for rows in (200, 5_000):
        labels = random.integers(0, 2, rows)
        scores = np.clip(0.5 + 0.2 * (labels - 0.5) + random.normal(0, 0.2, rows), 0, 1)
        found = estimates(labels, scores, seed=1, resamples=50, level=0.95)
        assert measure(labels, scores)["auc"] == found["auc"].value
        assert all(one.low <= one.value <= one.high for name, one in found.items() if name != "ece")
        widths.append(found["auc"].high - found["auc"].low)
    assert widths[1] < widths[0] / 3


def test_a_model_that_ranks_worse_is_worse_beyond_its_interval() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 2_000)
    good = labels + random.normal(0, 0.5, 2_000)
    bad = labels + random.normal(0, 2.0, 2_000)
    compare = partial(auc_difference, labels, seed=1, resamples=50, level=0.95)
    assert compare(bad, good).high < 0
    same = compare(good, good)
    assert (same.low, same.value, same.high) == (0, 0, 0)
