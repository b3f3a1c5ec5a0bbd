"""What Airflow's client says when a request fails; the requests that succeed are in
tests/integration/test_pipelines.py."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.airflow.client import Airflow
from infra.errors import LakehouseError


class LoginOnly(BaseHTTPRequestHandler):
    """An Airflow that gives a token and knows no pipeline."""

    requests: list[str]

    def do_POST(self) -> None:
        self.reply(201, {"access_token": "t"})

    def do_GET(self) -> None:
        self.requests.append(f"{self.path} {self.headers['Authorization']}")
        self.reply(404, {"detail": "no such DAG"})

    def reply(self, status: int, body: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def settings(port: int) -> dict[str, str]:
    return {
        "AIRFLOW_HOST": "127.0.0.1",
        "AIRFLOW_PORT": str(port),
        "AIRFLOW_ADMIN_USER": "admin",
        "AIRFLOW_ADMIN_PASSWORD": "secret",
    }


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    LoginOnly.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), LoginOnly) as running:
        threading.Thread(target=running.serve_forever).start()
        yield running
        running.shutdown()


def test_a_refusal_names_the_request_and_the_answer(server: ThreadingHTTPServer) -> None:
    airflow = Airflow(settings(server.server_port))
    with pytest.raises(LakehouseError) as raised:
        airflow.is_paused("none")
    expected = 'Airflow refuses GET /api/v2/dags/none: 404 {"detail": "no such DAG"}'
    assert raised.value.message == expected
    assert "airflow-api-server" in raised.value.hint
    assert LoginOnly.requests == ["/api/v2/dags/none Bearer t"]


def test_without_airflow_the_error_says_how_to_start_it() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(LakehouseError) as raised:
            Airflow(settings(port))
    assert raised.value.message.startswith(f"Airflow does not answer at http://127.0.0.1:{port}: ")
    assert raised.value.hint == "`make up` starts it"
