"""Training: the same rows and seed give the same model; ONNX gives the same scores."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from ml import export, gates, train
from ml.evaluate import GROUPED, WITH_RULES
from ml.features import encode, monotonic
from ml.metrics import Estimate
from ml.models import LIGHTGBM, LOGISTIC
from ml.models import fit as fit_one
from ml.prepare import prepare
from ml.train import Candidate
from tests.unit.ml.made_up import applications, settings


def fit(seed: int = 1) -> Candidate:
    with train.bar(Console(file=io.StringIO())) as progress:
        return train.fit(applications(), settings().model_copy(update={"seed": seed}), progress)


@pytest.fixture(scope="module")
def candidate() -> Candidate:
    return fit()


def test_the_same_rows_and_seed_give_the_same_model_bit_for_bit(candidate: Candidate) -> None:
    again = fit()
    assert train.native(again.model) == train.native(candidate.model)
    assert again.onnx == candidate.onnx
    assert again.evidence.figures == candidate.evidence.figures
    other = fit(seed=2)
    assert other.evidence.figures != candidate.evidence.figures


def test_every_row_is_scored_by_a_model_that_has_not_seen_it(candidate: Candidate) -> None:
    """Scores of held-back rows are worse than those of rows that were learned."""
    labels = candidate.data.labels
    held_back = candidate.evidence.figures[candidate.evidence.model][GROUPED]["auc"].value
    learned = roc_auc_score(labels, candidate.model.scores(candidate.data.matrix))
    assert 0.6 < held_back < learned


def test_rules_and_model_together_are_judged_on_all(candidate: Candidate) -> None:
    figures = candidate.evidence.figures[candidate.evidence.model]
    assert figures[WITH_RULES]["auc"].value > figures[GROUPED]["auc"].value


@pytest.mark.parametrize("name", [LOGISTIC, LIGHTGBM])
def test_onnx_gives_the_same_scores_from_features_as_they_are_served(
    candidate: Candidate, name: str
) -> None:
    data, features = candidate.data, settings().features
    model = fit_one(name, data.matrix, data.labels, candidate.parameters)
    content = export.to_onnx(model, features).SerializeToString()
    parity = export.check_parity(content, features, data.frame, model.scores(data.matrix))
    assert parity.rows == len(data.frame)
    assert parity.difference <= export.MAXIMUM_DIFFERENCE


def test_a_score_never_falls_with_what_may_only_raise_it(candidate: Candidate) -> None:
    features = settings().features
    frame = prepare(applications(), settings()).frame.head(50)
    data = candidate.data
    model = fit_one(LIGHTGBM, data.matrix, data.labels, candidate.parameters)
    before = model.scores(encode(frame, features))
    better = frame.assign(credit_score=frame["credit_score"] + 100)
    assert (model.scores(encode(better, features)) >= before).all()
    assert monotonic(features).count(1) == 2


@pytest.mark.parametrize(
    ("low", "value", "passed", "words"),
    [
        (0.01, 0.02, True, "within 0.02"),
        (0.019, 0.023, True, "above 0.02, but not by more than chance"),
        (0.021, 0.023, False, "above 0.02"),
    ],
)
def test_calibration_fails_only_beyond_chance(
    candidate: Candidate, low: float, value: float, passed: bool, words: str
) -> None:
    evidence = candidate.evidence
    of = {**evidence.figures[evidence.model][evidence.stricter], "ece": Estimate(value, low, 0.05)}
    figures = {evidence.model: {evidence.stricter: of}}
    gate = gates.calibration(replace(evidence, figures=figures), settings())
    assert gate.passed is passed
    assert gate.sentence.endswith(words)


def test_gates_say_why_a_model_stays_challenger(candidate: Candidate) -> None:
    found = gates.judge(candidate.evidence, Estimate(-0.02, -0.03, -0.01), settings())
    assert "it is worse than the champion: AUC differs by -0.0200" in gates.verdict(found)
    passes = {gate.name: gate.passed for gate in found}
    assert not passes["champion"]
    again = gates.judge(candidate.evidence, Estimate(-0.02, -0.05, 0.01), settings())
    assert {gate.name: gate.passed for gate in again}["champion"]
