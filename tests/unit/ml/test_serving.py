"""The scoring server's parts that need no service."""

import pandas as pd
import pytest

from ml import export
from ml.decision import decide
from ml.errors import MlError
from ml.features import typical_values
from ml.models import fit_logistic
from ml.onnx_model import OnnxModel
from ml.prepare import prepare
from ml.serving.champion import Champion, ChampionWatcher, check_answers
from ml.serving.effects import effects
from tests.unit.ml.made_up import applications, settings


@pytest.fixture(scope="module")
def champion() -> Champion:
    ours, frame = settings(), applications()
    data = prepare(frame, ours)
    model = fit_logistic(data.matrix, data.labels)
    content = export.to_onnx(model, ours.features).SerializeToString()
    typical = typical_values(data.frame, ours.features)
    return Champion(3, ours, OnnxModel(content, ours.features), typical)


def test_an_effect_is_the_score_less_that_with_the_typical_value(champion: Champion) -> None:
    row = applications(1, seed=5).iloc[0].to_dict() | {"credit_score": 420}
    found = {one.feature: one for one in effects(row, champion)}
    assert found.keys() == set(champion.settings.features.names)
    low = found["credit_score"]
    assert (low.value, low.typical) == (420, champion.typical["credit_score"])
    both = pd.DataFrame([row, row | {"credit_score": champion.typical["credit_score"]}])
    score, other = champion.model.scores(both)
    assert low.effect == pytest.approx(score - other) and low.effect < 0
    strengths = [abs(one.effect) for one in effects(row, champion)]
    assert strengths == sorted(strengths, reverse=True)


def test_typical_values_have_no_effect(champion: Champion) -> None:
    assert all(one.effect == 0 for one in effects(champion.typical, champion))


def test_a_champion_that_cannot_score_is_not_taken(champion: Champion) -> None:
    check_answers(champion)
    broken = Champion(4, champion.settings, champion.model, champion.typical | {"education": "?"})
    with pytest.raises(MlError, match="version 4 scores typical values with nan"):
        check_answers(broken)


def test_the_one_before_decides_until_another_is_found(champion: Champion) -> None:
    answers: list[Champion | Exception | None] = [
        MlError("there is no champion", "`make train`"),
        champion,
        None,
        MlError("MLflow does not answer", "`make up`"),
        ValueError("model.onnx is cut off"),
    ]
    asked = []

    def find(but: int | None) -> Champion | None:
        asked.append(but)
        answer = answers[len(asked) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    watcher = ChampionWatcher(find)
    watcher.check()
    found = [(watcher.current, watcher.problem)]
    watcher.check()
    found.append((watcher.current, watcher.problem))
    assert found == [(None, "there is no champion\n  -> `make train`"), (champion, "")]
    watcher.check()
    watcher.check()
    assert watcher.current is champion and "MLflow does not answer" in watcher.problem
    watcher.check()
    assert watcher.current is champion and "model.onnx is cut off" in watcher.problem
    assert asked == [None, None, 3, 3, 3]


def test_one_row_is_decided_as_many_are(champion: Champion) -> None:
    frame = applications(50, seed=9)
    together = decide(frame, champion.settings, champion.model)
    for place in range(len(frame)):
        row = pd.DataFrame([frame.iloc[place].to_dict()])
        alone = decide(row, champion.settings, champion.model).iloc[0]
        assert alone["decision"] == together["decision"][place]
        assert alone["score"] == pytest.approx(together["score"][place], abs=1e-12)
