"""What a training run finds out about its models, on rows that they were not fitted on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from sklearn.metrics import roc_auc_score

from infra.parent import end_with_parent
from ml import fairness, folds, tune
from ml.features import Matrix, monotonic
from ml.folds import Split
from ml.metrics import Estimate, Labels, Scores
from ml.metrics import estimates as with_intervals
from ml.models import LIGHTGBM, LOGISTIC, Model, Parameters, fit
from ml.prepare import Prepared
from ml.settings import TrainingSettings

# How the rows that a figure is of were held back.
TIME, GROUPED, RANDOM = "newest applications", "folds by groups", "random folds"
WITH_RULES = "rules and model, all applications"

Tick = Callable[[str], None]
Figures = dict[str, dict[str, Estimate]]  # held back how: metric


@dataclass(frozen=True)
class Evidence:
    """All that is known of the candidate; scores are of rows that were held back."""

    figures: dict[str, Figures]  # by model
    scores: dict[str, dict[str, Scores]]  # by model, held back how
    time: Split
    groups: list[fairness.Group]
    noise_loss: float
    months: pd.DataFrame  # month, rows, auc
    learning_curve: list[tuple[int, float]]  # rows, AUC
    duplicates: int  # rows that are in a group of near-duplicates
    tested: Model  # what was fitted on the older applications
    model: str  # the better of the two models, by their less favourable figures
    stricter: str  # which figure that is of it


def steps(settings: TrainingSettings) -> int:
    """How often `evaluate` ticks."""
    return settings.training.folds + 4


def evaluate(data: Prepared, settings: TrainingSettings, tick: Tick) -> tuple[Evidence, Parameters]:
    """Judge both models, and find the parameters for the one that all rows will be fitted on.

    The searches share nothing, so that each has a process; the result does not depend on how
    many there are.
    """
    time = folds.time_split(data.frame["decided_at"], settings.training.test_share)
    pairs = fold_pairs(data, settings)
    searched = [time.train, *(np.intersect1d(one.train, other.train) for one, other in pairs)]
    jobs = [delayed(search)(data, rows, settings) for rows in [*searched, every_row(data)]]
    parameters = []
    for found in workers(settings, return_as="generator")(jobs):
        parameters.append(found)
        tick("searching parameters")
    of_time, *of_folds, final = parameters
    scores = held_back(data, pairs, of_folds, settings)
    tested = {}
    for name in (LOGISTIC, LIGHTGBM):
        tested[name] = fit(name, data.matrix[time.train], data.labels[time.train], of_time)
        scores[name][TIME] = tested[name].scores(data.matrix[time.test])
    tick("judging")
    figures = judge(data, scores, time, settings)
    model, stricter = choose(figures)
    chosen = scores[model][stricter]
    evidence = Evidence(
        figures,
        scores,
        time,
        fairness.audit(data.frame, data.labels, chosen, settings),
        noise_loss(data, time, tested[model], settings),
        by_month(data, chosen),
        learning_curve(data, time, model, of_time, settings),
        int((np.bincount(data.groups)[data.groups] > 1).sum()),
        tested[model],
        model,
        stricter,
    )
    tick("judged")
    return evidence, final


def workers(settings: TrainingSettings, **options: str) -> Parallel:
    """Processes to work in. One to which a killed run was sending something would wait forever."""
    return Parallel(settings.training.workers, initializer=end_with_parent, **options)


def choose(figures: dict[str, Figures]) -> tuple[str, str]:
    """The model whose less favourable AUC is better, and which of the two that is."""

    def auc(model: str, how: str) -> float:
        return figures[model][how]["auc"].value

    stricter = {
        model: min((GROUPED, RANDOM), key=lambda how: auc(model, how))
        for model in (LOGISTIC, LIGHTGBM)
    }
    best = max(stricter, key=lambda model: auc(model, stricter[model]))
    return best, stricter[best]


def every_row(data: Prepared) -> folds.Rows:
    return np.arange(len(data.labels), dtype=np.int64)


def search(data: Prepared, rows: folds.Rows, settings: TrainingSettings) -> Parameters:
    return tune.search(
        data.matrix[rows],
        data.labels[rows],
        data.groups[rows],
        monotonic(settings.features),
        settings.training,
        settings.seed,
    )


def fold_pairs(data: Prepared, settings: TrainingSettings) -> list[tuple[Split, Split]]:
    """Each fold twice: with near-duplicates kept together, and with them scattered."""
    kept = folds.grouped_folds(data.labels, data.groups, settings.training.folds, settings.seed)
    return list(zip(kept, folds.scattered_folds(data.groups, kept, settings.seed), strict=True))


def held_back(
    data: Prepared,
    pairs: list[tuple[Split, Split]],
    parameters: list[Parameters],
    settings: TrainingSettings,
) -> dict[str, dict[str, Scores]]:
    """For each row the scores of models that were neither fitted nor tuned on it."""
    scores: dict[str, dict[str, Scores]] = {
        model: {how: np.zeros(len(data.labels)) for how in (GROUPED, RANDOM)}
        for model in (LOGISTIC, LIGHTGBM)
    }
    jobs = [
        (how, split, found)
        for pair, found in zip(pairs, parameters, strict=True)
        for how, split in zip((GROUPED, RANDOM), pair, strict=True)
    ]
    fitted = workers(settings)(delayed(fold_scores)(data, split, found) for _, split, found in jobs)
    for (how, split, _), of_models in zip(jobs, fitted, strict=True):
        for name, of_test in of_models.items():
            scores[name][how][split.test] = of_test
    return scores


def fold_scores(data: Prepared, split: Split, parameters: Parameters) -> dict[str, Scores]:
    matrix, labels = data.matrix[split.train], data.labels[split.train]
    tested = data.matrix[split.test]
    return {
        name: fit(name, matrix, labels, parameters).scores(tested) for name in (LOGISTIC, LIGHTGBM)
    }


def judge(
    data: Prepared, scores: dict[str, dict[str, Scores]], time: Split, settings: TrainingSettings
) -> dict[str, Figures]:
    """The metrics of both models with their intervals, in processes side by side."""
    labels = {TIME: data.labels[time.test], GROUPED: data.labels, RANDOM: data.labels}
    jobs = [
        (model, how, labels[how], scores[model][how]) for model in scores for how in scores[model]
    ]
    for model, of in scores.items():
        # Who is declined by a rule has the score 0.
        everybody = np.zeros(len(data.all_labels))
        everybody[data.eligible] = of[GROUPED]
        jobs.append((model, WITH_RULES, data.all_labels, everybody))
    found = workers(settings)(
        delayed(estimates)(labels_of, scores_of, settings) for _, _, labels_of, scores_of in jobs
    )
    figures: dict[str, Figures] = {model: {} for model in scores}
    for (model, how, _, _), of_job in zip(jobs, found, strict=True):
        figures[model][how] = of_job
    return figures


def estimates(labels: Labels, scores: Scores, settings: TrainingSettings) -> dict[str, Estimate]:
    interval = settings.interval
    return with_intervals(
        labels, scores, seed=settings.seed, resamples=interval.resamples, level=interval.level
    )


def noise_loss(data: Prepared, time: Split, model: Model, settings: TrainingSettings) -> float:
    """How much AUC is lost if every number is off by up to `noise_share`."""
    numbers = len(settings.features.numbers)
    share = settings.gates.noise_share
    matrix: Matrix = data.matrix[time.test].copy()
    random = np.random.default_rng(settings.seed)
    matrix[:, :numbers] *= random.uniform(1 - share, 1 + share, (len(matrix), numbers))
    labels = data.labels[time.test]
    exact = roc_auc_score(labels, model.scores(data.matrix[time.test]))
    return float(exact - roc_auc_score(labels, model.scores(matrix)))


def by_month(data: Prepared, scores: Scores) -> pd.DataFrame:
    """AUC of each month of decisions in which there are both labels."""
    months = data.frame["decided_at"].dt.tz_localize(None).dt.to_period("M").astype(str)
    rows = []
    for month, places in months.groupby(months).groups.items():
        labels = data.labels[places]
        if 0 < labels.sum() < len(labels):
            rows.append((month, len(labels), float(roc_auc_score(labels, scores[places]))))
    return pd.DataFrame(rows, columns=["month", "rows", "auc"])


def learning_curve(
    data: Prepared, time: Split, model: str, parameters: Parameters, settings: TrainingSettings
) -> list[tuple[int, float]]:
    """AUC on the newest applications after training on a share of the older ones."""
    order = np.random.default_rng(settings.seed).permutation(time.train)
    shares = [
        np.sort(order[: int(len(order) * share)]) for share in settings.training.learning_curve
    ]
    splits = [Split(rows, time.test) for rows in shares]
    fitted = workers(settings)(delayed(fold_scores)(data, split, parameters) for split in splits)
    labels = data.labels[time.test]
    return [
        (len(split.train), float(roc_auc_score(labels, scores[model])))
        for split, scores in zip(splits, fitted, strict=True)
    ]
