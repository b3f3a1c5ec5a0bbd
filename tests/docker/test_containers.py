"""`make test-docker`: the same lakehouse in containers, from the images to the last volume.

The tests run in their order: each continues with the state that the one before left.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import trino
from dotenv import set_key

from demo.summary import count_rows
from infra.docker.__main__ import command, lines
from infra.docker.images import variables
from infra.env import load_env
from infra.paths import REPO
from infra.services import SERVICES
from tests.docker.engine import choose_images, docker, engine
from tests.stack import free_offset

NAME = ".lakehouse-docker"
ROWS = 5000
# Generous, for a machine that runs other things, too.
TIMEOUT_SECONDS = 180


@pytest.fixture(scope="module")
def containers() -> Iterator[dict[str, str]]:
    """The settings of a lakehouse that runs in containers, with no data of an earlier one."""
    os.environ["ENV_FILE"] = f"{NAME}/.env"
    with engine():
        choose_images()
        run("infra.docker", "clean", "--yes")
        (REPO / NAME / ".env").unlink(missing_ok=True)
        run("infra", "env", f"--state={NAME}/state", f"--port-offset={free_offset()}")
        set_key(REPO / NAME / ".env", "TRINO_WORKERS", "1", quote_mode="never")
        try:
            # An engine answers, and no runtime is chosen.
            subprocess.run(["make", "up"], cwd=REPO, check=True)
            os.environ.update(load_env())
            yield load_env()
        finally:
            run("infra.docker", "clean", "--yes")


def run(module: str, *arguments: str) -> str:
    print(f"$ python -m {module} {' '.join(arguments)}", flush=True)
    path = f"{REPO}/.venv/bin:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=REPO,
        text=True,
        stdout=subprocess.PIPE,
        check=False,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(REPO)},
    )
    print(done.stdout, flush=True)
    assert not done.returncode, f"{module} failed"
    return done.stdout


def test_where_an_engine_answers_it_is_taken(containers: dict[str, str]) -> None:
    assert containers["RUNTIME"] == "docker"
    assert "runtime: docker" in subprocess.check_output(["make", "status"], cwd=REPO, text=True)


def test_no_container_runs_as_root_and_images_are_read_only(containers: dict[str, str]) -> None:
    for one in lines("ps", "--all"):
        asked = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}"
        user, rest = docker("inspect", "--format", asked, one["ID"]).split(" ", 1)
        assert user not in ("", "0", "root")
        assert rest == "true [ALL]"


def test_images_say_what_is_in_them(containers: dict[str, str]) -> None:
    for name in ("MINIO", "HIVE", "CONNECT", "LAKEHOUSE", "AIRFLOW"):
        image = variables()[f"{name}_IMAGE"]
        label = "org.opencontainers.image.version"
        found = docker("inspect", "--format", f'{{{{index .Config.Labels "{label}"}}}}', image)
        assert found == image.rpartition(":")[2]


def test_the_demo_runs_to_its_end(
    containers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWS", str(ROWS))
    assert "silver + rejected = source" in run("demo")
    found = dict(count_rows(containers))
    assert found["source"] == found["silver"] + found["rejected"]
    assert found["silver"] == found["gold"] == found["features"]
    assert found["bronze"] > 0
    assert found["stream"] > 0


def test_a_second_trino_works_for_the_first(containers: dict[str, str]) -> None:
    with trino.dbapi.connect(
        containers["TRINO_HOST"], int(containers["TRINO_PORT"]), user="demo"
    ) as connection:
        nodes = "select coordinator from system.runtime.nodes where state = 'active' order by 1"
        assert connection.cursor().execute(nodes).fetchall() == [[False], [True]]


def test_the_features_are_served(containers: dict[str, str]) -> None:
    run("infra.docker", "up", "features", "--no-build")
    assert "features-1" in run("infra.docker", "status")


def test_a_host_without_python_has_a_shell(containers: dict[str, str]) -> None:
    asked = command("exec", "-T", "tools", "python", "-m", "ingestion", "reconcile")
    subprocess.run(asked, cwd=REPO, check=True)


LONG_RUNNING = [program for service in SERVICES for program in service.programs]


@pytest.mark.parametrize("service", LONG_RUNNING)
def test_a_killed_container_comes_back(containers: dict[str, str], service: str) -> None:
    [victim, *_] = lines("--profile=*", "ps", service)
    restarts = "{{.RestartCount}}"
    before = int(docker("inspect", "--format", restarts, victim["ID"]))
    # All but init; the container ends with what it was there for.
    kill = ["docker", "exec", victim["ID"], "sh", "-c", "kill -9 -1"]
    subprocess.run(kill, check=False, capture_output=True)  # it is killed, too
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        [now] = [c for c in lines("--profile=*", "ps", "-a", service) if c["ID"] == victim["ID"]]
        count = int(docker("inspect", "--format", restarts, victim["ID"]))
        if count > before and (now["State"], now["Health"]) == ("running", "healthy"):
            return
        assert time.monotonic() < deadline, now
        time.sleep(1)


def test_nothing_was_lost_or_repeated_by_that(containers: dict[str, str]) -> None:
    """The stream continues where it was: new commits land, and silver equals the source."""
    run("ingestion", "source", "simulate", "--rate", "100", "--for", "5s")
    run("ingestion", "stream", "wait")
    run("infra.airflow", "run", "loan_etl")
    run("ingestion", "reconcile")


def test_down_and_up_keep_the_data(containers: dict[str, str]) -> None:
    before = dict(count_rows(containers))
    run("infra.docker", "down")
    assert not lines("--profile=*", "ps", "--all")
    run("infra.docker", "up", "--no-build")
    assert dict(count_rows(containers)) == before
    run("ingestion", "reconcile")


def test_clean_removes_all(containers: dict[str, str]) -> None:
    run("infra.docker", "clean", "--yes")
    project = variables()["COMPOSE_PROJECT_NAME"]
    label = f"label=com.docker.compose.project={project}"
    assert docker("ps", "--all", "--quiet", "--filter", label) == ""
    assert docker("volume", "ls", "--quiet", "--filter", label) == ""
    assert docker("network", "ls", "--quiet", "--filter", label) == ""
    with pytest.raises(trino.exceptions.TrinoConnectionError):
        trino.dbapi.connect(
            containers["TRINO_HOST"], int(containers["TRINO_PORT"]), user="demo", max_attempts=1
        ).cursor().execute("select 1")
