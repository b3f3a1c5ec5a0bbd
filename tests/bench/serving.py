"""The scoring server's speed, and that of reading the features alone."""

import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

import requests

from infra.paths import REPO
from infra.provision import environment
from tests.bench.measure import Row, measure
from tests.stack import native

BIN = Path(sys.executable).parent
ROWS = 45_000
REQUESTS, WARM_UP = 4_000, 200
CLIENTS = (1, 8)


def prepare() -> None:
    """Features online and a champion, from the generator's rows; `make demo` in short."""
    ingestion = [str(BIN / "python"), "-m", "ingestion"]
    measure([*ingestion, "source", "generate", "--rows", str(ROWS)])
    measure([*ingestion, "batch"])
    measure([*ingestion, "bronze-tables"])
    measure([str(BIN / "dbt"), "build"], str(REPO / "dbt_project"))
    measure([str(BIN / "python"), "-m", "feast_repo.materialize", "--apply"])
    measure([str(BIN / "python"), "-O", "-m", "ml", "train"])
    native("up", "features", "scoring")


def measure_serving() -> list[Row]:
    prepare()
    env = environment()
    features = f"http://{env['FEATURE_SERVER_HOST']}:{env['FEATURE_SERVER_PORT']}"
    scoring = f"http://{env['SCORING_HOST']}:{env['SCORING_PORT']}"
    service = {"feature_service": "loan_approval"}

    def entities(key: int) -> dict[str, Any]:
        return {**service, "entities": {"application_id": [key], "requested_amount": [1000.0]}}

    def application(key: int) -> dict[str, Any]:
        return {"application_id": key}

    ways = (
        ("features only", f"{features}/get-online-features", "FEATURE_SERVER_TOKEN", entities),
        ("score by id", f"{scoring}/v1/score", "SCORING_TOKEN", application),
    )
    results: list[Row] = []
    for way, url, token, body in ways:
        for clients in CLIENTS:
            taken, lasted = ask(url, env[token], body, clients)
            results.append(
                {
                    "way": way,
                    "clients": clients,
                    "p50_ms": 1000 * statistics.median(taken),
                    "p99_ms": 1000 * taken[len(taken) * 99 // 100],
                    "per_second": len(taken) / lasted,
                }
            )
    return results


def ask(url: str, token: str, body: Any, clients: int) -> tuple[list[float], float]:
    """Seconds of each request, in ascending order, and of all together without the warm-up."""
    taken: list[float] = []
    warm = threading.Barrier(clients + 1)

    def client(number: int) -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {token}"
            for turn in range(-WARM_UP // clients, REQUESTS // clients):
                if turn == 0:
                    warm.wait()
                key = (number * 7919 + (turn + WARM_UP) * 104_729) % ROWS + 1
                began = time.monotonic()
                answer = session.post(url, json=body(key), timeout=30)
                # Of the generator's rows some are rejected: those are not online.
                assert answer.status_code in (200, 404), answer.text
                if turn >= 0:
                    taken.append(time.monotonic() - began)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    warm.wait()
    began = time.monotonic()
    for thread in threads:
        thread.join()
    return sorted(taken), time.monotonic() - began
