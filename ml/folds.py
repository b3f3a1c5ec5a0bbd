"""Which rows are trained on and which are tested: by time, at random, and by groups."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import NearestNeighbors

from ml.features import Matrix
from ml.metrics import Labels

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Places of the rows to train on and to test on; no row is in both."""

    train: Rows
    test: Rows


def time_split(times: pd.Series, test_share: float) -> Split:
    """The newest share of the rows is the test; rows of one moment stay together.

    Of many rows of one moment that side is made larger which would else be the smaller one,
    compared with its share. The test is empty if all rows are of one moment.
    """
    order = np.argsort(times.to_numpy(), kind="stable")
    ordered, rows = times.to_numpy()[order], len(order)
    moment = ordered[min(int(rows * (1 - test_share)), rows - 1)]
    ends = (ordered.searchsorted(moment), ordered.searchsorted(moment, "right"))
    first_test = max(
        (end for end in ends if 0 < end < rows),
        key=lambda end: min(end / (1 - test_share), (rows - end) / test_share),
        default=rows,
    )
    return Split(np.sort(order[:first_test]), np.sort(order[first_test:]))


def near_duplicates(matrix: Matrix, numbers: int, distance: float) -> Rows:
    """A group number for each row: rows that differ little are in one group.

    The first `numbers` columns are compared in standard deviations, the others must be equal.
    """
    spread = matrix[:, :numbers].std(axis=0)
    values = matrix[:, :numbers] / np.where(spread > 0, spread, 1)
    _, stratum = np.unique(matrix[:, numbers:], axis=0, return_inverse=True)
    one: list[Rows] = []
    other: list[Rows] = []
    for number in range(stratum.max() + 1):
        rows = np.flatnonzero(stratum.ravel() == number)
        near = NearestNeighbors(radius=distance).fit(values[rows])
        pairs = near.radius_neighbors_graph(values[rows]).tocoo()
        one.append(rows[pairs.row])
        other.append(rows[pairs.col])
    ends = (np.concatenate(one), np.concatenate(other))
    graph = coo_matrix((np.ones(len(ends[0])), ends), shape=(len(matrix), len(matrix)))
    _, groups = connected_components(graph, directed=False)
    return np.asarray(groups, dtype=np.int64)


def grouped_folds(labels: Labels, groups: Rows, folds: int, seed: int) -> list[Split]:
    """Folds that keep each group together and the labels' shares."""
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return [Split(*split) for split in splitter.split(np.zeros(len(labels)), labels, groups)]


def scattered_folds(groups: Rows, kept: list[Split], seed: int) -> list[Split]:
    """The same folds, but the rows of near-duplicate groups are spread at random.

    So that both can be judged with what was tuned on the rows that are trained on in both.
    """
    fold = np.empty(len(groups), dtype=np.int64)
    for number, split in enumerate(kept):
        fold[split.test] = number
    several = np.bincount(groups)[groups] > 1
    fold[several] = np.random.default_rng(seed).integers(0, len(kept), several.sum())
    return [
        Split(np.flatnonzero(fold != number), np.flatnonzero(fold == number))
        for number in range(len(kept))
    ]
