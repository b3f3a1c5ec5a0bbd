"""The feature server: needs the token, and recovers from failures."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from feast import FeatureStore

from infra.native.stack import Supervisor
from infra.paths import REPO
from infra.provision import environment
from tests.integration.served_lake import make_gold, materialize_views, register_ours, served
from tests.integration.small_lake import SmallLake, small_lake
from tests.stack import native

WAIT_SECONDS = 120
READ: dict[str, Any] = {
    "feature_service": "loan_approval",
    "entities": {"application_id": [7, 99_999_999], "requested_amount": [10.0, 10.0]},
}


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    with small_lake() as lake:
        make_gold(lake, hundreds=1, number=40)
        yield lake


@pytest.fixture(scope="module")
def store(lake: SmallLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    with served(lake, tmp_path_factory.mktemp("feast")) as repo:
        store = FeatureStore(repo_path=str(repo))
        materialize_views(store)
        yield store


class Server:
    def __init__(self, port: int, token: str) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.headers = {"Authorization": f"Bearer {token}"}

    def read(self, **changes: Any) -> requests.Response:
        url = f"{self.address}/get-online-features"
        return requests.post(url, headers=self.headers, json={**READ, **changes}, timeout=30)

    def is_healthy(self) -> bool:
        try:
            return requests.get(f"{self.address}/health", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False


def values(answer: requests.Response) -> dict[str, list[Any]]:
    body = answer.json()
    names = body["metadata"]["feature_names"]
    return {name: result["values"] for name, result in zip(names, body["results"], strict=True)}


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture(scope="module")
def server(
    stack: dict[str, str], store: FeatureStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The server of the test's own project, with what supervisord.conf gives it."""
    port = int(stack["FEATURE_SERVER_PORT"]) + 1
    metrics = tmp_path_factory.mktemp("metrics")
    env = {
        **os.environ,
        "FEATURE_SERVER_PORT": str(port),
        "PROMETHEUS_MULTIPROCESS_DIR": str(metrics),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
    command = [sys.executable, "-m", "feast_repo.serve"]
    with subprocess.Popen(command, cwd=REPO, env=env) as process:
        server = Server(port, stack["FEATURE_SERVER_TOKEN"])
        wait_until(lambda: server.is_healthy() or process.poll() is not None)
        yield server
        process.terminate()


def test_it_serves_what_the_sdk_does(server: Server, store: FeatureStore) -> None:
    answer = server.read()
    assert answer.status_code == 200, answer.text
    read = values(answer)
    sdk = store.get_online_features(
        features=store.get_feature_service("loan_approval"), entity_rows=READ["entities"]
    ).to_dict()
    assert read == sdk
    assert read["annual_income"] == [40.0, None]
    assert read["requested_to_income_percent"] == [25.0, None]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"entities": {"application_id": ["7"], "requested_amount": [1.0]}}, "'7' is no int64"),
        ({"entities": {"application_id": [7.5], "requested_amount": [1.0]}}, "'7.5' is no int64"),
        ({"entities": {"application_id": [True], "requested_amount": [1.0]}}, "'True' is no int64"),
        ({"entities": {"application_id": [2**63], "requested_amount": [1.0]}}, "is no int64"),
        ({"entities": {"application_id": [None], "requested_amount": [1.0]}}, "'None' is no int64"),
        ({"entities": {"application_id": [7], "requested_amount": ["x"]}}, "'x' is no double"),
        ({"entities": {"application_id": [7]}}, "entities lack requested_amount"),
        ({"entities": {}}, "entities lack application_id, requested_amount"),
        (
            {"entities": {"application_id": [7], "requested_amount": [1.0], "customer": [1]}},
            "entities hold 'customer'",
        ),
        ({"entities": {"application_id": [7, 8], "requested_amount": [1.0]}}, "differ in length"),
        ({"entities": {"application_id": [], "requested_amount": []}}, "0 keys"),
        (
            {"entities": {"application_id": [7] * 10_000, "requested_amount": [1.0] * 10_000}},
            "10,000 keys: 1 to 1,000 fit one request",
        ),
        ({"features": ["applicant:education"]}, "and not both"),
        ({"feature_service": None, "features": ["education"]}, "is not like view:feature"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_with_a_sentence(
    server: Server, changes: dict[str, Any], sentence: str
) -> None:
    answer = server.read(**changes)
    assert answer.status_code == 422, answer.text
    assert sentence in answer.json()["detail"]


@pytest.mark.parametrize("key", ["entities", "feature_service"])
def test_a_missing_field_is_named(server: Server, key: str) -> None:
    request = {name: value for name, value in READ.items() if name != key}
    url = f"{server.address}/get-online-features"
    answer = requests.post(url, headers=server.headers, json=request, timeout=30)
    assert answer.status_code == 422
    assert key in answer.text


def test_what_is_not_registered_is_not_found(server: Server) -> None:
    assert server.read(feature_service="no_such").status_code == 404
    features = {"feature_service": None, "features": ["no_such:education"]}
    assert server.read(**features).status_code == 404


def test_an_unknown_key_is_not_found_and_the_others_are(server: Server) -> None:
    answer = server.read()
    [statuses] = {tuple(result["statuses"]) for result in answer.json()["results"][1:2]}
    assert statuses == ("PRESENT", "NOT_FOUND")


@pytest.mark.slow
def test_no_request_of_its_own_description_breaks_it(server: Server, tmp_path: Path) -> None:
    """schemathesis makes requests, right and wrong ones, from openapi.json."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.address}/openapi.json"),
        *("--header", f"Authorization: {server.headers['Authorization']}"),
        *("--max-examples=150", "--seed=1", "--workers=1", "--no-color"),
        "--checks=not_a_server_error,status_code_conformance,response_schema_conformance",
    ]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("token", [None, "", "Bearer ", "Bearer wrong", "Basic x"])
def test_without_the_token_it_serves_nothing(server: Server, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    for path in ("/get-online-features", "/metrics", "/docs", "/no-such-page"):
        answer = requests.post(f"{server.address}{path}", headers=headers, json=READ, timeout=30)
        assert answer.status_code == 401, path
        assert "results" not in answer.text
    assert server.is_healthy()


@pytest.mark.parametrize("path", ["push", "write-to-online-store", "materialize", "chat"])
def test_it_writes_nothing(server: Server, path: str) -> None:
    answer = requests.post(f"{server.address}/{path}", headers=server.headers, json={}, timeout=30)
    assert answer.status_code == 404


def test_it_listens_on_loopback_only(server: Server) -> None:
    port = int(server.address.rsplit(":", 1)[1])
    listening = [c for c in psutil.net_connections("tcp") if c.laddr.port == port and not c.raddr]
    assert {connection.laddr.ip for connection in listening} == {"127.0.0.1"}


def test_it_counts_what_it_serves(server: Server) -> None:
    def served_requests() -> float:
        text = requests.get(f"{server.address}/metrics/", headers=server.headers, timeout=30).text
        counts = re.findall(
            r'^feast_feature_server_request_total{.*status="success".*} (\S+)', text, re.MULTILINE
        )
        return sum(map(float, counts))

    before = served_requests()
    server.read()
    assert served_requests() == before + 1


def test_it_reads_again_after_postgresql_was_killed(server: Server, stack: dict[str, str]) -> None:
    """Without a restart of its own; until then it waits, or reports an error."""
    supervisor = Supervisor(environment())
    first = supervisor.info("postgres")["pid"]
    os.kill(first, signal.SIGKILL)

    def reads_again() -> bool:
        is_back = supervisor.info("postgres")["pid"] not in (0, first)
        answer = server.read()
        assert answer.status_code in (200, 503)
        if answer.status_code == 200:
            assert values(answer)["annual_income"] == [40.0, None]
        return is_back and answer.status_code == 200

    wait_until(reads_again)
    wait_until(server.is_healthy)


def test_one_that_was_killed_is_started_again(
    stack: dict[str, str], lake: SmallLake, server: Server
) -> None:
    """The one of `make features`, which is supervised like every service."""
    register_ours(lake)
    native("up", "features")
    own = Server(int(stack["FEATURE_SERVER_PORT"]), stack["FEATURE_SERVER_TOKEN"])
    supervisor = Supervisor(environment())
    try:
        assert own.is_healthy()
        first = supervisor.info("features")["pid"]
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: supervisor.info("features")["pid"] not in (0, first))
        wait_until(own.is_healthy)
    finally:
        supervisor.rpc().supervisor.stopProcess("features")
