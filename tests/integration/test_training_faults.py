"""Training and scoring that are killed, or lose a service: nothing half-registered decides."""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow.entities import ViewType

from infra.native.stack import Supervisor
from infra.paths import REPO
from infra.provision import environment
from ml import registry as ml_registry
from ml.registry import Registry
from ml.settings import load_settings
from tests.faults.scene import Scene
from tests.integration.served_lake import served
from tests.integration.small_lake import SmallLake
from tests.integration.trained_lake import (
    decided_lake,
    environment_of,
    landed_scores,
    ml,
    write_settings,
)
from tests.stack import native

pytestmark = pytest.mark.slow

DICE = random.Random(20)


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    with decided_lake() as lake:
        yield lake


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One trial for each search: what is tested is what happens around them."""
    file = write_settings(tmp_path_factory.mktemp("ml"))
    content = yaml.safe_load(file.read_text())
    content["training"] |= {"trials": 1, "learning_curve": [1.0]}
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture(scope="module")
def env(
    lake: SmallLake, settings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    with landed_scores(), served(lake, tmp_path_factory.mktemp("feast")):
        yield {**environment_of(lake), "ML_SETTINGS": str(settings)}


@pytest.fixture(scope="module")
def registry(env: dict[str, str], settings: Path) -> Iterator[Registry]:
    """With a champion, version 1, of the lake."""
    done = ml(env, "train")
    assert "version 1 is champion" in done.stdout, done.stdout + done.stderr
    with ml_registry.connected(env, load_settings(settings)) as found:
        yield found


@pytest.fixture(scope="module")
def again(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments that train the champion's model again."""
    file = tmp_path_factory.mktemp("set") / "training_set.parquet"
    file.write_bytes(registry.artifact(registry.champion(), file.name))
    return ["train", "--training-set", str(file)]


class Run:
    """A command of ours that runs, and how far it is."""

    def __init__(
        self, env: dict[str, str], registry: Registry, folder: Path, *arguments: str
    ) -> None:
        self.registry, self.folder = registry, folder
        self.runs_before, self.versions_before = self.runs(), self.versions()
        # It then shows its progress, although its output is a file.
        shown = {**env, "FORCE_COLOR": "1"}
        with self.file("out").open("w") as out, self.file("err").open("w") as err:
            command = [sys.executable, "-O", "-m", "ml", *arguments]
            self.process = subprocess.Popen(command, cwd=REPO, env=shown, stdout=out, stderr=err)

    def file(self, name: str) -> Path:
        return self.folder / name

    def runs(self) -> int:
        """How many runs MLflow knows."""
        client = self.registry.client
        found = client.get_experiment_by_name(self.registry.model)
        ids = [found.experiment_id] if found else []
        return len(client.search_runs(ids, run_view_type=ViewType.ALL)) if ids else 0

    def versions(self) -> int:
        return len(self.registry.client.search_model_versions(f"name = '{self.registry.model}'"))

    def wait_for(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self.process.poll() is None, self.file("out").read_text() + self.errors()
            time.sleep(0.1)

    def wait_for_step(self, step: int) -> None:
        shown = re.compile(rf"\b{step}/\d")
        self.wait_for(lambda: bool(shown.search(self.file("out").read_text())))

    def is_storing(self) -> bool:
        return self.runs() > self.runs_before

    def is_registered(self) -> bool:
        return self.versions() > self.versions_before

    def errors(self) -> str:
        return self.file("err").read_text()

    def kill(self) -> None:
        """With -9; its own processes must notice."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL
        _, left = psutil.wait_procs(children, timeout=60)
        assert not left

    def fails(self, sentence: str) -> None:
        assert self.process.wait() == 1, self.file("out").read_text() + self.errors()
        assert sentence in self.errors()
        assert "Traceback" not in self.errors()
        assert self.errors().count("error:") == 1
        assert "run it again" in self.errors()


Start = Callable[..., Run]


@pytest.fixture
def start(env: dict[str, str], registry: Registry, tmp_path: Path) -> Iterator[Start]:
    """Starts `python -m ml` with the arguments; nothing is left of it after the test."""
    started = []

    def begin(*arguments: str) -> Run:
        started.append(Run(env, registry, tmp_path, *arguments))
        return started[-1]

    yield begin
    for run in started:
        run.process.kill()
        run.process.wait()


@contextmanager
def away(*services: str) -> Iterator[None]:
    """The services are killed with -9 and stay away for the block."""
    scene, rpc = Scene(environment(), DICE), Supervisor(environment()).rpc()
    scene.kill(*services)
    for service in services:
        rpc.supervisor.stopProcess(service)
    try:
        yield
    finally:
        native("up", *services)


def check_aliases(registry: Registry) -> None:
    """Each version that has an alias has all of its evidence."""
    for alias in (registry.champion_alias, registry.challenger_alias):
        if found := registry.by_alias(alias):
            registry.version(int(found.version))  # raises for one that is not complete
            for name in ("model.txt", "model.onnx", "card.html", "reference.parquet"):
                assert registry.artifact(found, name)


def test_killed_at_any_moment_it_leaves_the_champion(
    start: Start, registry: Registry, again: list[str]
) -> None:
    run = start(*again)
    run.wait_for_step(DICE.randint(0, 5))
    run.kill()
    check_aliases(registry)
    assert registry.champion().version == "1"

    run = start(*again)
    run.wait_for(run.is_registered)
    run.kill()
    check_aliases(registry)
    assert registry.champion().version == "1"


@pytest.mark.parametrize("service", ["minio", "mlflow"])
def test_without_a_service_to_store_in_it_fails_with_a_sentence(
    start: Start, registry: Registry, again: list[str], service: str
) -> None:
    run = start(*again)
    run.wait_for_step(2)
    with away(service):
        run.fails("MLflow at")
    check_aliases(registry)
    assert registry.champion().version == "1"


def test_without_trino_it_cannot_read_and_says_so(
    start: Start, registry: Registry, lake: SmallLake
) -> None:
    run = start("train")
    run.wait_for(lambda: is_asked(lake, "ml"))
    with away("trino"):
        run.fails("Trino failed")
    check_aliases(registry)


def is_asked(lake: SmallLake, user: str) -> bool:
    """Trino works on a query of the user."""
    running = "select 1 from system.runtime.queries where state = 'RUNNING' and"
    return bool(lake.query(f"{running} \"user\" = '{user}'"))


def test_scores_land_once_though_trino_was_killed(
    start: Start, env: dict[str, str], registry: Registry, lake: SmallLake
) -> None:
    with landed_scores() as landed:
        run = start("score")
        run.wait_for(lambda: is_asked(lake, "feast"))
        with away("trino"):
            run.fails("Trino failed: ")
        assert not [key for key in landed() if key.startswith("loan_score_runs/")]
        done = ml(env, "score")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "scored 3,000 applications" in done.stdout
        assert "nothing new" in ml(env, "score").stdout
        scored = lake.query(
            "select count(*), count(distinct application_id) from hive.bronze.loan_scores"
            f" where run_id like '{registry.model}-%'"
        )
        assert scored == [[3_000, 3_000]]
