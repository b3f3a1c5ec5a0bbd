"""Flink over a topic of a test's own: the two processes that the stack has, on other ports."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from infra.paths import INFRA, REPO
from infra.provision import environment, provision
from infra.services import find_service, flink_healthy
from tests.integration.changes import eventually
from tests.stack import free_port

COMMANDS = {
    "jobmanager": [sys.executable, "-m", "streaming", "run"],
    "taskmanager": [str(INFRA / "native/bin/flink"), "taskmanager"],
}


class FlinkCluster:
    """A job manager and a task manager; a test may kill each, and start it again."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        ports = {port: str(free_port()) for port in find_service("flink").ports}
        (folder / "run").mkdir(parents=True)
        self.env = {**environment(), **os.environ, **env, **ports, "LAKEHOUSE_STATE": str(folder)}
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, role: str) -> str:
        return (self.folder / f"{role}.log").read_text()

    def start(self, *roles: str) -> None:
        for role in roles or COMMANDS:
            with (self.folder / f"{role}.log").open("ab") as log:
                self.processes[role] = subprocess.Popen(
                    COMMANDS[role], cwd=REPO, env=self.env, stdout=log, stderr=log
                )

    def wait(self) -> None:
        """Until the job runs; a process that has ended will not come."""

        def runs() -> bool:
            for role, process in self.processes.items():
                assert process.poll() is None, self.log(role)[-3000:]
            return flink_healthy(self.env)

        eventually(runs, "Flink's job runs")

    def kill(self, role: str) -> None:
        """kill -9; what it started ends with it."""
        process = self.processes.pop(role)
        ended = process.poll() is not None
        started = [] if ended else psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(started, timeout=30)
        assert not alive

    def stop(self) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(60)
        self.processes.clear()


@contextmanager
def flink_cluster(folder: Path, env: Mapping[str, str]) -> Iterator[FlinkCluster]:
    provision(["flink"])
    cluster = FlinkCluster(folder, env)
    cluster.start()
    try:
        cluster.wait()
        yield cluster
    finally:
        for role in list(cluster.processes):
            cluster.kill(role)
