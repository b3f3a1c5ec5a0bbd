"""A running stack, seen as what can be hurt: its processes, and the way to its MinIO."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from infra.native.stack import Supervisor
from infra.services import SERVICES
from tests.s3_proxy import ProxyMode, S3Proxy


@dataclass(frozen=True)
class Scene:
    """``proxy`` stands between everybody and MinIO; without one, MinIO itself answers."""

    env: Mapping[str, str]
    dice: random.Random
    proxy: S3Proxy | None = None

    def processes(self, *services: str) -> list[str]:
        """The processes of the services, as supervisor names them.

        If none is named, of all that run without being asked for.
        """
        return [
            process
            for service in SERVICES
            if (service.name in services if services else not service.by_name)
            for process in service.processes(self.env)
        ]

    def process(self, name: str) -> psutil.Process:
        """The running process of that name."""
        pid = Supervisor(self.env).info(name)["pid"]
        if not pid:  # to a signal, 0 means us
            raise RuntimeError(f"{name} does not run: there is nothing to hurt")
        return psutil.Process(pid)

    def kill(self, *names: str) -> None:
        """kill -9, all at once."""
        for process in [self.process(name) for name in names]:
            process.kill()

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Suspend a process (SIGSTOP) during the block."""
        process = self.process(name)
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    @contextmanager
    def disturbed(self, mode: ProxyMode) -> Iterator[None]:
        """Let MinIO misbehave during the block."""
        assert self.proxy
        before = self.proxy.disturbed
        self.proxy.mode = mode
        try:
            yield
        finally:
            self.proxy.mode = ProxyMode.passing
        if self.proxy.disturbed == before:
            raise RuntimeError("MinIO got no request during the fault: nothing was tested")

    def unhealthy_service(self) -> str | None:
        """The first service that does not run or is not healthy, of those that always run."""
        supervisor = Supervisor(self.env)
        for service in (one for one in SERVICES if not one.by_name):
            for process in service.processes(self.env):
                state = supervisor.info(process)
                if not state["pid"]:
                    return f"{process} is {state['statename'].lower()}"
            if not service.healthy(self.env):
                return f"{service.name} is not healthy"
        return None
