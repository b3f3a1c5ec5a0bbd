"""A Trino worker that is to stop is told so, and has the time that its tasks need.

On a server that answers as Trino does.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from infra.paths import INFRA

SCRIPT = INFRA / "kubernetes/scripts/drain-trino-worker"


class Worker(HTTPServer):
    """It answers `code`, and when it agrees to shut down, its process ends."""

    def __init__(self, process: subprocess.Popen[bytes], code: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.process, self.code = process, code
        self.asked: list[tuple[str, str | None, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Worker

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers["X-Trino-User"], body))
        self.send_response(self.server.code)
        self.end_headers()
        if self.server.code == 200:
            self.server.process.kill()
            self.server.process.wait()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def worker(code: int) -> Iterator[Worker]:
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process,
        Worker(process, code) as server,
    ):
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
        process.kill()


def drain(server: Worker) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, str(server.process.pid)],
        env={"PATH": "/usr/bin:/bin", "TRINO_WORKER_PORT": str(server.server_port)},
        text=True,
        capture_output=True,
        check=False,
        timeout=30,
    )


def test_it_asks_the_worker_to_end_and_waits_for_that() -> None:
    with worker(200) as server:
        done = drain(server)
        assert (done.returncode, done.stderr) == (0, "")
        assert server.asked == [("/v1/info/state", "admin", b'"SHUTTING_DOWN"')]
        assert server.process.poll() is not None


@pytest.mark.parametrize("code", [403, 500])
def test_a_worker_that_refuses_is_stopped_at_once(code: int) -> None:
    with worker(code) as server:
        done = drain(server)
        assert done.returncode == 1
        assert f"refuses to drain: {code}" in done.stderr
