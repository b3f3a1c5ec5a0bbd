"""A second stack, with its own env file, ports and state."""

import fcntl
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import boto3
import trino
from dotenv import dotenv_values

from infra.env import EXAMPLE, load_env
from infra.paths import REPO


@contextmanager
def own_stack(
    name: str,
    keep: bool = False,
    prepare: Callable[[], None] = lambda: None,
    services: Sequence[str] = (),
    without: str = "",
) -> Iterator[dict[str, str]]:
    """Run a stack in the folder `name`, with its settings in the environment.

    With `keep` an existing stack is used and left running, by any number of runs at
    a time; without, a run has exclusive use and starts with no data. `prepare`
    may change the env file before the services (default: all but `without`) start.
    """
    folder, before = REPO / name, dict(os.environ)
    os.environ["ENV_FILE"] = f"{name}/.env"
    with (REPO / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH if keep else fcntl.LOCK_EX)
        if (folder / ".env").exists() and not keep:
            infra("env")  # what a newer version adds
            native("down")  # what an interrupted run left
            shutil.rmtree(folder)
        if not (folder / ".env").exists():
            infra("env", f"--state={name}/state", f"--port-offset={free_offset()}")
        prepare()
        try:
            native("up", *services, *(["--without", without] if without else []))
            settings = load_env()
            os.environ.update(settings)
            yield settings
        finally:
            if not keep:
                native("down")
            os.environ.clear()
            os.environ.update(before)


def infra(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "infra", *arguments], check=True, cwd=REPO)


def native(*arguments: str) -> None:
    # Where a test has imported Feast, these name a folder that goes with the test's process;
    # a stack that is kept needs it for longer.
    feasts = ("PROMETHEUS_MULTIPROC_DIR", "PROMETHEUS_MULTIPROCESS_DIR")
    env = {name: value for name, value in os.environ.items() if name not in feasts}
    command = [sys.executable, "-m", "infra.native", *arguments]
    subprocess.run(command, check=True, cwd=REPO, env=env)


def ingest(*arguments: str) -> str:
    """Run `python -m ingestion` and return what it printed; RuntimeError if it failed."""
    command = [sys.executable, "-m", "ingestion", *arguments]
    done = subprocess.run(command, cwd=REPO, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}{done.stderr}")
    return done.stdout


def query_trino(settings: Mapping[str, str], sql: str) -> list[list[Any]]:
    """The rows of a statement, as Trino's administrator."""
    host, port = settings["TRINO_HOST"], int(settings["TRINO_PORT"])
    with trino.dbapi.connect(host, port, user="admin") as connection:
        return list(connection.cursor().execute(sql).fetchall())


def objects_administrator() -> Any:
    """MinIO's administrator, for what no user of the lake may do: delete."""
    return boto3.client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT"],
        region_name=os.environ["S3_REGION"],
        aws_access_key_id=os.environ["MINIO_ROOT_USER"],
        aws_secret_access_key=os.environ["MINIO_ROOT_PASSWORD"],
    )


def delete_objects(bucket: str, keys: Iterable[str]) -> None:
    objects = objects_administrator()
    names = [{"Key": key} for key in keys]
    for start in range(0, len(names), 1000):  # S3 takes no more at a time
        deleted = objects.delete_objects(
            Bucket=bucket, Delete={"Objects": names[start : start + 1000], "Quiet": True}
        )
        assert "Errors" not in deleted, deleted


def free_offset() -> int:
    """A number that, added to every default port, gives free ports."""
    defaults = [int(v or 0) for k, v in dotenv_values(EXAMPLE).items() if k.endswith("_PORT")]
    # At random, for two clones may look at the same moment.
    for offset in random.sample(range(10_000, 22_500, 500), 25):
        if all(is_free(port + offset) for port in defaults):
            return offset
    raise RuntimeError("no free range of ports")


def free_port() -> int:
    """A port of loopback that is free at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
