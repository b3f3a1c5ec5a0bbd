"""The two models, logistic regression and LightGBM, each calibrated."""

from dataclasses import dataclass
from typing import Any, Protocol

import lightgbm as lgb
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ml.features import Matrix
from ml.metrics import Labels, Scores

# Beyond this a probability is 0 or 1 in single precision.
CLIP = 1e-7


class Model(Protocol):
    """What gives scores between 0 and 1 for rows of the matrix."""

    def scores(self, matrix: Matrix) -> Scores: ...

    def contributions(self, matrix: Matrix) -> Matrix: ...


def sigmoid(raw: Scores) -> Scores:
    return np.asarray(1 / (1 + np.exp(-raw)), dtype=np.float64)


def logit(scores: Scores) -> Scores:
    clipped = np.clip(scores, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)), dtype=np.float64)


@dataclass(frozen=True)
class Calibration:
    """Turns a model's log odds into calibrated ones: slope * x + intercept (Platt)."""

    slope: float = 1.0
    intercept: float = 0.0

    def apply(self, log_odds: Scores) -> Scores:
        return sigmoid(self.slope * log_odds + self.intercept)

    @classmethod
    def fit(cls, log_odds: Scores, labels: Labels) -> "Calibration":
        """From rows that the model was not trained on; both labels must be there."""
        found = LogisticRegression(C=1e6).fit(log_odds.reshape(-1, 1), labels)
        return cls(float(found.coef_[0, 0]), float(found.intercept_[0]))


@dataclass(frozen=True)
class Parameters:
    """What a search found for LightGBM: its parameters, rounds and calibration."""

    lightgbm: dict[str, Any]
    rounds: int
    calibration: Calibration


@dataclass(frozen=True)
class Logistic:
    """The baseline: weights of standardised logarithms.

    It maximises the likelihood, so that it is calibrated as it is.
    """

    mean: Scores
    scale: Scores
    weights: Scores
    intercept: float

    def scores(self, matrix: Matrix) -> Scores:
        return sigmoid(self.contributions(matrix).sum(axis=1) + self.intercept)

    def contributions(self, matrix: Matrix) -> Matrix:
        """What each column adds to the log odds."""
        return np.asarray((np.log1p(matrix) - self.mean) / self.scale * self.weights)


@dataclass(frozen=True)
class Boosted:
    """LightGBM's trees and the calibration of their log odds."""

    booster: lgb.Booster
    calibration: Calibration

    def scores(self, matrix: Matrix) -> Scores:
        return self.calibration.apply(self.log_odds(matrix))

    def contributions(self, matrix: Matrix) -> Matrix:
        """What each column adds to the log odds, before calibration (SHAP values)."""
        return np.asarray(self.booster.predict(matrix, pred_contrib=True))[:, :-1]

    def log_odds(self, matrix: Matrix) -> Scores:
        raw = self.booster.predict(matrix, raw_score=True)
        return np.asarray(raw, dtype=np.float64)


def fit_logistic(matrix: Matrix, labels: Labels) -> Logistic:
    scaler = StandardScaler().fit(np.log1p(matrix))
    values = scaler.transform(np.log1p(matrix))
    model = LogisticRegression(C=1.0, max_iter=500).fit(values, labels)
    return Logistic(scaler.mean_, scaler.scale_, model.coef_[0], float(model.intercept_[0]))


def fixed_parameters(monotonic: list[int], seed: int) -> dict[str, Any]:
    """What no search changes: above all what makes the same data give the same trees."""
    return {
        "objective": "binary",
        "metric": "binary_logloss",
        "learning_rate": 0.03,
        # Incomes and rates of this file carry more information in finer bins.
        "max_bin": 1023,
        "bagging_freq": 1,
        "monotone_constraints": monotonic,
        # Threads wait for each other at every leaf; processes, one a search, do not.
        "num_threads": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }


def fit_boosted(matrix: Matrix, labels: Labels, parameters: Parameters) -> Boosted:
    data = lgb.Dataset(matrix, labels, free_raw_data=True)
    booster = lgb.train(parameters.lightgbm, data, num_boost_round=parameters.rounds)
    return Boosted(booster, parameters.calibration)


LOGISTIC, LIGHTGBM = "logistic regression", "LightGBM"


def fit(name: str, matrix: Matrix, labels: Labels, parameters: Parameters) -> Logistic | Boosted:
    """The model of that name; logistic regression has no parameters to search for."""
    if name == LOGISTIC:
        return fit_logistic(matrix, labels)
    return fit_boosted(matrix, labels, parameters)
