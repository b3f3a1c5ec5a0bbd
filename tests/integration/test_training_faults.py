"""A service, or the command itself, is killed while a model is trained and while it scores."""

import os
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from infra.env import load_env
from infra.native.stack import Supervisor
from infra.paths import REPO
from ml.registry import Registry, connected
from ml.settings import TrainingSettings, load_settings
from tests.integration.served_lake import served
from tests.integration.small_lake import SmallLake
from tests.integration.trained_lake import (
    decided_lake,
    environment_of,
    landed_scores,
    ml,
    ml_command,
    write_settings,
)
from tests.stack import delete_objects, native

pytestmark = pytest.mark.slow

COMMAND = "the command"


@dataclass
class Scene:
    """A champion, the settings that it was trained with, and how long that took."""

    lake: SmallLake
    env: dict[str, str]
    file: Path
    settings: TrainingSettings
    seconds: float
    dice: random.Random

    def ml(self, command: str) -> subprocess.CompletedProcess[str]:
        return ml(self.env, command, "--settings", str(self.file))

    def champion(self) -> int:
        """Its version. Its evidence is complete, else MlError."""
        with self.registry() as registry:
            return int(registry.version(int(registry.champion().version)).version)

    def registry(self) -> AbstractContextManager[Registry]:
        return connected(self.env, self.settings)

    def newest_run(self) -> str:
        """In MLflow, in which a run begins when all that it stores is there."""
        with self.registry() as registry:
            experiment = registry.client.get_experiment_by_name(self.settings.tracking.experiment)
            assert experiment
            newest, *_ = registry.client.search_runs([experiment.experiment_id], max_results=1)
            return str(newest.info.run_id)

    def break_off(self, command: str, victim: str, moment: str = "at random") -> int:
        """Run a command and kill the victim; the command's exit code.

        A command that fails says so in a sentence.
        """
        before = self.newest_run()
        process = subprocess.Popen(
            ml_command(command, "--settings", str(self.file)),
            cwd=REPO,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        if moment == "registering":
            while self.newest_run() == before:
                assert process.poll() is None, process.communicate()
                time.sleep(0.1)
        else:
            time.sleep(self.dice.uniform(0, self.seconds))
        if victim == COMMAND:
            process.kill()
        elif pid := Supervisor(load_env()).info(victim)["pid"]:
            psutil.Process(pid).kill()
        _, errors = process.communicate()
        if victim != COMMAND:
            native("up", victim)  # supervisor has started it again: this waits for it
            assert process.returncode in (0, 1), errors
        assert "Traceback" not in errors
        assert process.returncode != 1 or "error: " in errors
        return process.returncode


@pytest.fixture(scope="module")
def scene(stack: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    file = write_settings(tmp_path_factory.mktemp("ml"))
    with decided_lake() as lake, served(lake, tmp_path_factory.mktemp("feast")):
        env = environment_of(lake)
        began = time.monotonic()
        done = ml(env, "train", "--settings", str(file))
        assert done.returncode == 0, done.stdout + done.stderr
        dice = random.Random(int(os.environ.get("TRAINING_SEED") or random.randrange(10**6)))
        yield Scene(lake, env, file, load_settings(file), time.monotonic() - began, dice)


@pytest.mark.parametrize(
    ("victim", "moment"),
    [
        ("trino", "at random"),
        ("postgres", "registering"),
        ("minio", "registering"),
        ("mlflow", "registering"),
        (COMMAND, "at random"),
        (COMMAND, "registering"),
    ],
)
def test_a_training_that_is_broken_off_changes_no_champion(
    scene: Scene, victim: str, moment: str
) -> None:
    before = scene.champion()
    code = scene.break_off("train", victim, moment)
    if code == 0:  # what it needed of the victim it had, or got when it asked again
        assert scene.champion() >= before
    else:
        assert scene.champion() == before


def test_after_all_of_that_a_training_is_right(scene: Scene) -> None:
    before = scene.champion()
    done = scene.ml("train")
    assert done.returncode == 0, done.stderr
    assert scene.champion() > before


@pytest.mark.parametrize("victim", ["trino", "minio", "mlflow", COMMAND])
def test_scores_that_are_broken_off_land_once(scene: Scene, victim: str) -> None:
    with landed_scores() as keys:
        began = time.monotonic()
        assert scene.ml("score").returncode == 0
        scene.seconds = time.monotonic() - began
        landed = keys()
        delete_objects(os.environ["BRONZE_BUCKET"], landed)
        scene.break_off("score", victim)
        done = scene.ml("score")
        assert done.returncode == 0, done.stderr
        assert keys() == landed
        counted = "select count(*), count(distinct application_id) from hive.bronze.loan_scores"
        [run_id] = {key.rsplit("/", 1)[1] for key in landed if key.startswith("loan_score_runs/")}
        where = f" where run_id = '{run_id.removesuffix('.json')}'"
        assert scene.lake.query(counted + where) == [[3_000, 3_000]]
