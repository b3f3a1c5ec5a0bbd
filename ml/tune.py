"""LightGBM's parameters by Optuna: so many trials, the same for the same rows and seed."""

from typing import Any

import lightgbm as lgb
import optuna
from sklearn.model_selection import StratifiedGroupKFold

from ml.features import Matrix
from ml.folds import Rows, Split
from ml.metrics import Labels
from ml.models import Boosted, Calibration, Parameters, fixed_parameters
from ml.settings import Training

# Tried first: found on the real file, good on generated ones.
FIRST_TRIAL = {
    "num_leaves": 127,
    "min_child_samples": 20,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "lambda_l2": 0.05,
}
# The search holds back one fold of so many; what is learned from it, rounds and
# calibration, then serves a model of all rows.
HELD_BACK = 5


def search(  # noqa: PLR0913, PLR0917
    matrix: Matrix,
    labels: Labels,
    groups: Rows,
    monotonic: list[int],
    training: Training,
    seed: int,
) -> Parameters:
    """The parameters with the least log loss on rows that are held back of these rows."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    splitter = StratifiedGroupKFold(HELD_BACK, shuffle=True, random_state=seed)
    split = Split(*next(splitter.split(matrix, labels, groups)))
    fixed = fixed_parameters(monotonic, seed)
    best: list[tuple[float, Parameters]] = []

    def objective(trial: optuna.Trial) -> float:
        parameters = fixed | suggest(trial)
        booster = fit_with_patience(matrix, labels, split, parameters, training)
        loss = float(booster.best_score["held_back"]["binary_logloss"])
        held = Boosted(booster, Calibration()).log_odds(matrix[split.test])
        calibration = Calibration.fit(held, labels[split.test])
        if not best or loss < best[0][0]:
            best[:] = [(loss, Parameters(parameters, booster.best_iteration, calibration))]
        return loss

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(FIRST_TRIAL)
    study.optimize(objective, n_trials=training.trials)
    return best[0][1]


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    return {
        "num_leaves": trial.suggest_int("num_leaves", 31, 255, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 60, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.4, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.6, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.001, 10.0, log=True),
    }


def fit_with_patience(
    matrix: Matrix, labels: Labels, split: Split, parameters: dict[str, Any], training: Training
) -> lgb.Booster:
    """Trees until the held-back rows gain no more."""
    data = lgb.Dataset(matrix[split.train], labels[split.train])
    held_back = lgb.Dataset(matrix[split.test], labels[split.test], reference=data)
    return lgb.train(
        parameters,
        data,
        num_boost_round=training.maximum_rounds,
        valid_sets=[held_back],
        valid_names=["held_back"],
        callbacks=[lgb.early_stopping(training.patience, verbose=False)],
    )
