"""The scoring server: decides as batch scoring does, also while a service is away."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from feast import FeatureStore

from infra.native.stack import Supervisor
from infra.paths import REPO
from infra.provision import environment
from ml.settings import load_settings
from tests.integration.served_lake import materialize_views, served
from tests.integration.small_lake import SmallLake
from tests.integration.test_feature_server import wait_until
from tests.integration.trained_lake import (
    decided_lake,
    environment_of,
    landed_scores,
    ml,
    write_settings,
)

pytestmark = pytest.mark.slow

COMPARED = range(1, 3_001, 10)


@pytest.fixture(scope="module")
def lake() -> Iterator[SmallLake]:
    with decided_lake() as lake:
        yield lake


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_settings(tmp_path_factory.mktemp("ml"))


@pytest.fixture(scope="module")
def champion(
    lake: SmallLake, settings: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The environment of a lake with features online and a champion, and its settings."""
    with landed_scores(), served(lake, tmp_path_factory.mktemp("feast")) as repo:
        materialize_views(FeatureStore(repo_path=str(repo)))
        env = {**environment_of(lake), "ML_SETTINGS": str(settings)}
        done = ml(env, "train", "--settings", str(settings))
        assert "version 1 is champion" in done.stdout, done.stdout + done.stderr
        yield env


class Server:
    def __init__(self, port: int, token: str, process: subprocess.Popen[bytes]) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.headers = {"Authorization": f"Bearer {token}"}
        self.process = process

    def post(self, path: str = "/v1/score", **body: Any) -> requests.Response:
        url = f"{self.address}{path}"
        return requests.post(url, headers=self.headers, json=body, timeout=30)

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.address}{path}", headers=self.headers, timeout=30)

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.address}/ready", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False


@pytest.fixture(scope="module")
def server(champion: dict[str, str], stack: dict[str, str]) -> Iterator[Server]:
    port = int(stack["SCORING_PORT"]) + 1
    env = {**champion, "SCORING_PORT": str(port)}
    with subprocess.Popen([sys.executable, "-O", "-m", "ml.serving"], cwd=REPO, env=env) as process:
        server = Server(port, stack["SCORING_TOKEN"], process)
        wait_until(lambda: server.is_ready() or process.poll() is not None)
        yield server
        process.terminate()


def test_it_decides_as_batch_scoring_does(
    server: Server, champion: dict[str, str], settings: Path, lake: SmallLake
) -> None:
    done = ml(champion, "score", "--settings", str(settings))
    assert "scored 3,000 applications" in done.stdout, done.stdout + done.stderr
    model = load_settings(settings).model
    batch = {
        key: (score, decision, reasons, as_of)
        for key, score, decision, reasons, as_of in lake.query(
            "select application_id, score, decision, reasons,"
            " cast(with_timezone(features_as_of, 'UTC') as varchar)"
            f" from hive.bronze.loan_scores where run_id like '{model}-%'"
        )
    }
    assert {decision for _, decision, _, _ in batch.values()} == {"approve", "decline"}
    for key in COMPARED:
        answer = server.post(application_id=key)
        assert answer.status_code == 200, answer.text
        online = answer.json()
        score, decision, reasons, as_of = batch[key]
        assert online["score"] == pytest.approx(score, abs=1e-6)
        assert online["decision"] == decision
        assert (online["explanation"] or "") == reasons
        assert online["features_as_of"][:19] == as_of[:19].replace(" ", "T")


def test_a_decision_of_the_model_has_the_three_strongest_reasons(server: Server) -> None:
    decisions = [server.post("/v1/explain", application_id=key).json() for key in range(1, 20)]
    by_model = next(one for one in decisions if one["policy_rule"] is None)
    reasons = by_model["reasons"]
    assert len(reasons) == 11
    assert [abs(one["effect"]) for one in reasons] == sorted(
        (abs(one["effect"]) for one in reasons), reverse=True
    )
    scored = server.post(application_id=by_model["application_id"]).json()
    assert scored["reasons"] == reasons[:3]
    assert scored["request_id"] != by_model["request_id"]


def test_a_policy_rule_decides_before_the_model(server: Server, lake: SmallLake) -> None:
    [[key]] = lake.query(
        f"select min(application_id) from {lake.gold}.credit_history_features"
        " where has_previous_default"
    )
    decided = server.post(application_id=key).json()
    assert decided["policy_rule"] == "previous_default"
    assert (decided["decision"], decided["score"], decided["reasons"]) == ("decline", 0.0, [])


def test_another_amount_is_another_decision(server: Server) -> None:
    decisions = [server.post("/v1/explain", application_id=key).json() for key in range(1, 20)]
    key = next(one for one in decisions if one["policy_rule"] is None)["application_id"]

    def ratio(**body: Any) -> float:
        reasons = server.post("/v1/explain", application_id=key, **body).json()["reasons"]
        [value] = [r["value"] for r in reasons if r["feature"] == "requested_to_income_percent"]
        return float(value)

    assert ratio(requested_amount=2_000.0) == pytest.approx(2 * ratio(requested_amount=1_000.0))


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"application_id": 99_999_999}, 404, "no features of application 99999999 online"),
        ({}, 422, "application_id: Field required"),
        ({"application_id": "7"}, 422, "application_id: Input should be a valid integer"),
        ({"application_id": 2**63}, 422, "application_id: "),
        ({"application_id": 7, "requested_amount": -1}, 422, "requested_amount: "),
        ({"application_id": 7, "customer": 1}, 422, "customer: Extra inputs are not permitted"),
        ({"application_id": 7, "customer": "x" * 20_000}, 413, "at most 16,384 bytes"),
    ],
)
def test_what_cannot_be_decided_is_refused_with_a_sentence(
    server: Server, body: dict[str, Any], status: int, sentence: str
) -> None:
    answer = server.post(**body)
    assert answer.status_code == status, answer.text
    assert sentence in answer.json()["detail"]


@pytest.mark.parametrize("token", [None, "Bearer wrong"])
def test_without_the_token_it_decides_nothing(server: Server, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    for path in ("/v1/score", "/v1/explain", "/metrics", "/docs"):
        body = {"application_id": 7}
        answer = requests.post(f"{server.address}{path}", headers=headers, json=body, timeout=30)
        assert answer.status_code == 401, path
    assert requests.get(f"{server.address}/health", timeout=30).text == "ok"


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


def test_it_counts_its_decisions_and_stays_small(server: Server) -> None:
    server.post(application_id=1)
    text = server.get("/metrics/").text
    assert "scoring_model_version 1.0" in text
    assert 'scoring_decisions_total{decision="' in text
    assert psutil.Process(server.process.pid).memory_info().rss < 350 * 2**20


def test_a_promotion_replaces_the_model_without_a_failed_request(
    server: Server, champion: dict[str, str], settings: Path
) -> None:
    trained = ml(champion, "train", "--settings", str(settings), "--manual")
    assert "PROMOTE=manual" in trained.stdout, trained.stdout + trained.stderr
    stop, statuses, versions = threading.Event(), set(), set()

    def ask() -> None:
        while not stop.is_set():
            answer = server.post(application_id=1)
            statuses.add(answer.status_code)
            versions.add(answer.json().get("model_version"))

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for version, command in ((2, ["promote", "--version", "2"]), (1, ["rollback"])):
            done = ml(champion, *command, "--settings", str(settings))
            assert done.returncode == 0, done.stderr
            wait_until(lambda: server.get("/ready").json()["model_version"] == version)  # noqa: B023
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert statuses == {200}
    assert versions == {1, 2}


def test_it_decides_while_mlflow_is_away_and_says_so(server: Server) -> None:
    supervisor = Supervisor(environment())
    supervisor.rpc().supervisor.stopProcess("mlflow")
    try:
        # The first of its problems may be a call that MLflow broke off.
        wait_until(
            lambda: "MLflow does not answer" in str(server.get("/ready").json()["problems"][:1])
        )
        assert server.get("/ready").status_code == 200
        assert server.post(application_id=1).status_code == 200
    finally:
        supervisor.rpc().supervisor.startProcess("mlflow")
    wait_until(lambda: server.get("/ready").json()["problems"] == [])


def test_it_decides_again_after_postgresql_was_killed(server: Server) -> None:
    supervisor = Supervisor(environment())
    first = supervisor.info("postgres")["pid"]
    os.kill(first, signal.SIGKILL)

    def decides_again() -> bool:
        is_back = supervisor.info("postgres")["pid"] not in (0, first)
        answer = server.post(application_id=1)
        assert answer.status_code in (200, 503), answer.text
        return is_back and answer.status_code == 200

    wait_until(decides_again)
    wait_until(server.is_ready)
