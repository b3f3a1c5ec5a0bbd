"""Flink is healthy if its job runs; containers and processes have one check of that."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from infra.services import flink_healthy


@contextmanager
def answering(body: dict[str, Any]) -> Iterator[int]:
    """The port of a server whose answer to all requests is `body`, as Flink formats it."""

    class Overview(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(body, separators=(",", ":")).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Overview) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def is_healthy(body: dict[str, Any]) -> bool:
    with answering(body) as port:
        return flink_healthy({"FLINK_HOST": "127.0.0.1", "FLINK_PORT": str(port)})


def overview(state: str, **tasks: int) -> dict[str, Any]:
    return {"jobs": [{"jid": "a", "state": state, "tasks": tasks, "pending-operators": 0}]}


def test_a_job_runs_with_all_of_its_tasks() -> None:
    assert is_healthy(overview("RUNNING", running=12, created=0, total=12))
    assert is_healthy(overview("RUNNING", total=12, created=0, running=12))


@pytest.mark.parametrize(
    "body",
    [
        {"jobs": []},
        overview("RUNNING", running=0, scheduled=12, total=12),
        overview("RUNNING", running=11, scheduled=1, total=12),
        overview("RUNNING", running=1, scheduled=11, total=12),
        overview("RUNNING", running=0, total=0),
        overview("RESTARTING", running=12, total=12),
    ],
)
def test_a_job_that_waits_or_fails_is_not_healthy(body: dict[str, Any]) -> None:
    assert not is_healthy(body)


def test_flink_that_does_not_answer_is_not_healthy() -> None:
    with answering({}) as port:
        pass
    assert not flink_healthy({"FLINK_HOST": "127.0.0.1", "FLINK_PORT": str(port)})
