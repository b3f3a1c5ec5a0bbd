"""`make test-docker`: the same lakehouse in containers, from the images to the last volume.

The tests run in their order: each continues with the state that the one before left.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import requests
import trino
from dotenv import set_key

from demo.summary import count_rows
from infra.docker.__main__ import command, lines
from infra.docker.images import variables
from infra.env import load_env
from infra.paths import REPO
from infra.services import SERVICES
from tests.docker.engine import choose_images, docker, engine
from tests.stack import free_offset, query_trino

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
    for name in ("MINIO", "HIVE", "CONNECT", "LAKEHOUSE", "FLINK", "MLFLOW", "AIRFLOW"):
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


def test_the_champion_decides(containers: dict[str, str]) -> None:
    # Of so few rows, chance decides whether the demo's model passes each gate.
    run("ml", "promote", "--version", "1", "--force")
    run("ml", "score")
    run("infra.docker", "up", "scoring", "--no-build")
    assert "scoring-1" in run("infra.docker", "status")
    wait_until_it_decides(containers)
    [[application_id]] = query_trino(
        containers, "select max(application_id) from iceberg.gold.loan_features"
    )
    answer = requests.post(
        f"{scoring(containers)}/v1/score",
        headers={"Authorization": f"Bearer {containers['SCORING_TOKEN']}"},
        json={"application_id": application_id},
        timeout=TIMEOUT_SECONDS,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["decision"] in ("approve", "decline", "refer")


def scoring(env: dict[str, str]) -> str:
    return f"http://{env['SCORING_HOST']}:{env['SCORING_PORT']}"


def wait_until_it_decides(env: dict[str, str]) -> None:
    """The scoring server is healthy before it has the champion."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not requests.get(f"{scoring(env)}/ready", timeout=TIMEOUT_SECONDS).ok:
        assert time.monotonic() < deadline
        time.sleep(1)


def test_flink_keeps_its_state_on_disk_and_its_checkpoints_in_minio(
    containers: dict[str, str],
) -> None:
    printed = run("streaming", "status")
    assert "running" in printed
    assert "s ago" in printed
    flink = f"http://{containers['FLINK_HOST']}:{containers['FLINK_PORT']}/jobs"
    [job] = requests.get(flink, timeout=TIMEOUT_SECONDS).json()["jobs"]
    asked = f"{flink}/{job['id']}/checkpoints/config"
    config = requests.get(asked, timeout=TIMEOUT_SECONDS).json()
    assert config["state_backend"] == "EmbeddedRocksDBStateBackend"


def test_a_stopped_job_continues_from_its_savepoint(containers: dict[str, str]) -> None:
    assert run("streaming", "savepoint").startswith("s3://flink/savepoints/")
    path = run("streaming", "stop").strip()
    assert run("streaming", "restore", "latest").strip() == f"the job runs from {path}"
    run("streaming", "probe", "--times", "1")


def test_a_host_without_python_has_a_shell(containers: dict[str, str]) -> None:
    for typed in ("ingestion reconcile", "streaming status", "ml list"):
        asked = command("exec", "-T", "tools", "python", "-m", *typed.split())
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
    """The stream continues where it was: new commits land, silver equals the source, and what is
    online, by Flink and by gold, equals gold.
    """
    run("ingestion", "source", "simulate", "--rate", "100", "--for", "5s")
    run("streaming", "probe")
    run("ingestion", "stream", "wait")
    run("infra.airflow", "run", "loan_etl")
    run("ingestion", "reconcile")
    run("feast_repo.consistency")
    wait_until_it_decides(containers)


def test_down_and_up_keep_the_data(containers: dict[str, str]) -> None:
    before = dict(count_rows(containers))
    run("infra.docker", "down")
    assert not lines("--profile=*", "ps", "--all")
    run("infra.docker", "up", "--no-build")
    assert dict(count_rows(containers)) == before
    run("ingestion", "reconcile")
    run("feast_repo.consistency")
    run("streaming", "status")
    run("streaming", "probe")


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
