"""Splits: nothing is trained on and tested on."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.folds import grouped_folds, near_duplicates, scattered_folds, time_split


@given(st.lists(st.integers(0, 30), min_size=5, max_size=80), st.floats(0.1, 0.5))
def test_the_test_rows_are_newer_than_all_others(days: list[int], share: float) -> None:
    times = pd.Series(pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(days, unit="D"))
    split = time_split(times, share)
    assert sorted([*split.train, *split.test]) == list(range(len(days)))
    if len(split.test) and len(split.train):
        assert times[split.train].max() < times[split.test].min()


@pytest.mark.parametrize(
    ("days", "tested"),
    [
        ([1] * 6 + [2] * 3 + [3], 4),  # one row of day 3 would be too few
        ([1] * 8 + [2] * 2, 2),
        ([1] * 2 + [2] * 8, 8),
        ([1] * 10, 0),
    ],
)
def test_many_rows_of_one_moment_leave_neither_side_with_few_rows(
    days: list[int], tested: int
) -> None:
    times = pd.Series(pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(days, unit="D"))
    assert len(time_split(times, 0.2).test) == tested


def test_rows_that_differ_little_are_one_group() -> None:
    matrix = np.array([[0.0, 1], [1.0, 1], [1.01, 1], [1.01, 0], [2.0, 1]])
    groups = near_duplicates(matrix, 1, 0.1)
    assert groups[1] == groups[2]
    assert len(set(groups)) == 4  # the same number in another category is another group


@pytest.mark.parametrize("seed", [1, 2])
def test_folds_keep_groups_together_and_cover_all_rows_once(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels, groups = random.integers(0, 2, 300), random.integers(0, 100, 300)
    kept = grouped_folds(labels, groups, 5, seed)
    scattered = scattered_folds(groups, kept, seed)
    for folds in (kept, scattered):
        assert sorted(np.concatenate([split.test for split in folds])) == list(range(300))
        for split in folds:
            assert not set(split.train) & set(split.test)
    for split in kept:
        assert not set(groups[split.train]) & set(groups[split.test])
    torn = [set(groups[split.train]) & set(groups[split.test]) for split in scattered]
    assert any(torn)
