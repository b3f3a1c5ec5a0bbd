"""The champion in memory, and its replacement when the registry names another version."""

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ml.artifacts import ONNX, SETTINGS, TYPICAL_VALUES
from ml.decision import decide
from ml.errors import MlError
from ml.onnx_model import OnnxModel
from ml.registry import Registry, connected
from ml.settings import TrainingSettings, parse_settings

log = logging.getLogger(__name__)

SECONDS_BETWEEN_CHECKS = 5.0

# From the version in memory to the champion, or to none if that is it.
Find = Callable[[int | None], "Champion | None"]


@dataclass(frozen=True)
class Champion:
    """A version with all that a decision needs: it decides by the settings it was trained with."""

    version: int
    settings: TrainingSettings
    model: OnnxModel
    typical: dict[str, float | str]


def load(registry: Registry, but: int | None) -> Champion | None:
    """The champion, or none if it is the version `but`.

    Raises MlError if there is no champion, or it does not answer a probe.
    """
    found = registry.champion()
    version = int(found.version)
    if version == but:
        return None
    settings = parse_settings(registry.artifact(found, SETTINGS), f"version {version}")
    model = OnnxModel(registry.artifact(found, ONNX), settings.features)
    typical = json.loads(registry.artifact(found, TYPICAL_VALUES))
    champion = Champion(version, settings, model, typical)
    check_answers(champion)
    return champion


def check_answers(champion: Champion) -> None:
    """Raise MlError unless it gives an application of typical values a score."""
    features = {rule.feature: None for rule in champion.settings.policy_rules} | champion.typical
    score = float(decide(pd.DataFrame([features]), champion.settings, champion.model)["score"][0])
    if not 0 <= score <= 1:
        raise MlError(
            f"version {champion.version} scores typical values with {score}",
            "`python -m ml rollback`",
        )


class ChampionWatcher:
    """Holds the champion, and asks the registry every few seconds whether it still is.

    The version before it decides until the new one has answered a probe, and for as long as
    the registry does not answer.
    """

    def __init__(self, find: Find, seconds: float = SECONDS_BETWEEN_CHECKS) -> None:
        self._find = find
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="champion", daemon=True)
        self.current: Champion | None = None
        self.problem = ""

    def check(self) -> None:
        """Take the champion of now; `problem` says why it could not, and is empty otherwise."""
        try:
            found = self._find(self.current.version if self.current else None)
        except MlError as error:
            self._report(str(error))
            return
        except Exception as error:
            self._report(f"the champion cannot be loaded: {type(error).__name__}: {error}")
            return
        self._report("")
        if found is not None:
            self.current = found
            log.info("version %s decides", found.version)

    def _report(self, problem: str) -> None:
        if problem and problem != self.problem:
            log.warning("%s", problem)
        self.problem = problem

    def start(self) -> None:
        self.check()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._seconds):
            self.check()


def from_registry(env: dict[str, str], settings: TrainingSettings) -> Find:
    """How to find the champion in the stack's registry; `settings` name the model."""

    def find(but: int | None) -> Champion | None:
        with connected(env, settings) as registry:
            return load(registry, but)

    return find
