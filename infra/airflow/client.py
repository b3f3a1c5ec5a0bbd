"""Airflow's REST API, as far as we need it."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from infra.errors import LakehouseError

POLL_INTERVAL_SECONDS = 1
ENDED = ("success", "failed")


class Airflow:
    """The running Airflow of one stack, as its administrator."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.url = f"http://{env['AIRFLOW_HOST']}:{env['AIRFLOW_PORT']}"
        self._session = requests.Session()
        login = {
            "username": env["AIRFLOW_ADMIN_USER"],
            "password": env["AIRFLOW_ADMIN_PASSWORD"],
        }
        token = self._ask("POST", "/auth/token", login)["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, **query: Any) -> Any:  # noqa: ANN401
        return self._ask("GET", f"/api/v2/{path}", query=query)

    def post(self, path: str, body: Any) -> Any:  # noqa: ANN401
        return self._ask("POST", f"/api/v2/{path}", body)

    def patch(self, path: str, body: Any) -> Any:  # noqa: ANN401
        return self._ask("PATCH", f"/api/v2/{path}", body)

    def _ask(self, method: str, path: str, body: Any = None, query: Any = None) -> Any:  # noqa: ANN401
        """The answer's JSON.

        Raises LakehouseError when Airflow cannot be reached, or refuses.
        """
        try:
            answer = self._session.request(
                method, f"{self.url}{path}", json=body, params=query, timeout=60
            )
        except requests.RequestException as error:
            raise LakehouseError(
                f"Airflow does not answer at {self.url}: {error}", "`make up` starts it"
            ) from error
        if not answer.ok:
            raise LakehouseError(
                f"Airflow refuses {method} {path}: {answer.status_code} {answer.text}",
                "`make logs SERVICE=airflow-api-server` shows its side",
            )
        return answer.json() if answer.content else None

    def ensure_pool(self, name: str, pool: Mapping[str, Any]) -> None:
        """Make the pool; one that is there keeps what a person has set."""
        if name not in {one["name"] for one in self.get("pools")["pools"]}:
            self.post("pools", {"name": name, **pool})

    def pause(self, dag: str, *, paused: bool = True) -> None:
        self.patch(f"dags/{dag}", {"is_paused": paused})

    def is_paused(self, dag: str) -> bool:
        return bool(self.get(f"dags/{dag}")["is_paused"])

    def trigger(self, dag: str, **params: Any) -> str:  # noqa: ANN401
        """Start a run and return its id."""
        run = self.post(f"dags/{dag}/dagRuns", {"logical_date": None, "conf": params})
        return str(run["dag_run_id"])

    def clear(self, dag: str, run: str) -> int:
        """Clear the run's failed tasks and those downstream of them; return their number."""
        body = {"dag_run_id": run, "only_failed": True, "dry_run": False}
        return int(self.post(f"dags/{dag}/clearTaskInstances", body)["total_entries"])

    def follow(self, dag: str, run: str) -> Iterator[list[dict[str, Any]]]:
        """The run's tasks, again and again until it has ended."""
        while True:
            # In this order: an ended run's tasks do not change any more.
            state = self.state(dag, run)
            yield self.tasks(dag, run)
            if state in ENDED:
                return
            time.sleep(POLL_INTERVAL_SECONDS)

    def state(self, dag: str, run: str) -> str:
        """queued, running, success or failed."""
        return str(self.get(f"dags/{dag}/dagRuns/{run}")["state"])

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        path = f"dags/{dag}/dagRuns/{run}/taskInstances"
        return list(self.get(path, limit=500)["task_instances"])

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The newest runs, newest first."""
        return list(self.get(f"dags/{dag}/dagRuns", order_by="-run_after", limit=20)["dag_runs"])

    def has_running(self, dag: str) -> bool:
        return any(run["state"] == "running" for run in self.runs(dag))

    def log(self, dag: str, run: str, task: dict[str, Any]) -> str:
        """What the task's newest try wrote."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        lines = self.get(path, map_index=task["map_index"])["content"]
        return "\n".join(line["event"] if isinstance(line, dict) else line for line in lines)
