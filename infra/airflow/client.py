"""Airflow's REST API by its own client, logged in, with errors that say what to do."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import urllib3
from airflow_client.client import (
    ApiClient,
    BackfillApi,
    BackfillPostBody,
    BackfillResponse,
    ClearTaskInstancesBody,
    Configuration,
    DAGApi,
    DAGPatchBody,
    DagRunApi,
    DAGRunResponse,
    DagRunState,
    PoolApi,
    PoolBody,
    ReprocessBehavior,
    TaskApi,
    TaskInstanceApi,
    TaskInstanceResponse,
    TriggerDAGRunPostBody,
)
from airflow_client.client.rest import RESTResponse

from infra.errors import LakehouseError

POLL_INTERVAL_SECONDS = 1
TIMEOUT_SECONDS = 60
ENDED = (DagRunState.SUCCESS, DagRunState.FAILED)


class RefusalReportingClient(ApiClient):
    """What Airflow refuses is a LakehouseError that names the request."""

    def call_api(
        self,
        method: str,
        url: str,
        header_params: Mapping[str, str] | None = None,
        body: object = None,
        post_params: Any = None,  # noqa: ANN401
        _request_timeout: float | tuple[float, float] | None = None,
    ) -> RESTResponse:
        host = self.configuration.host
        timeout = _request_timeout or TIMEOUT_SECONDS
        try:
            answer = super().call_api(method, url, header_params, body, post_params, timeout)
            content: bytes = answer.read()  # type: ignore[no-untyped-call]
        except urllib3.exceptions.HTTPError as error:
            raise LakehouseError(
                f"Airflow does not answer at {host}: {error}", "`make up` starts it"
            ) from error
        if answer.status >= 400:
            path = url.removeprefix(host)
            raise LakehouseError(
                f"Airflow refuses {method} {path}: {answer.status} {content.decode()}",
                "`make logs SERVICE=airflow-api-server` shows its side",
            )
        return answer


class Airflow:
    """The running Airflow of one stack, as its administrator.

    Every method raises LakehouseError when Airflow cannot be reached, or refuses.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.url = f"http://{env['AIRFLOW_HOST']}:{env['AIRFLOW_PORT']}"
        # A request that fails is not repeated: it may start a run.
        once = urllib3.Retry(0, read=False)
        client = RefusalReportingClient(Configuration(host=self.url, retries=once))
        client.configuration.access_token = self._token(client, env)
        self._backfills = BackfillApi(client)
        self._dags = DAGApi(client)
        self._pools = PoolApi(client)
        self._runs = DagRunApi(client)
        self._tasks = TaskApi(client)
        self._task_instances = TaskInstanceApi(client)

    def _token(self, client: ApiClient, env: Mapping[str, str]) -> str:
        """The auth manager's endpoint is not among the client's."""
        login = {
            "username": env["AIRFLOW_ADMIN_USER"],
            "password": env["AIRFLOW_ADMIN_PASSWORD"],
        }
        headers = {"Content-Type": "application/json"}
        answer = client.call_api("POST", f"{self.url}/auth/token", headers, login)
        return str(json.loads(answer.data or b"")["access_token"])

    def ensure_pool(self, name: str, pool: Mapping[str, Any]) -> None:
        """Make the pool; one that is there keeps what a person has set."""
        if name not in {one.name for one in self._pools.get_pools().pools}:
            self._pools.post_pool(PoolBody(name=name, **pool))

    def dags(self) -> list[str]:
        return [dag.dag_id for dag in self._dags.get_dags().dags]

    def pause(self, dag: str, *, paused: bool = True) -> None:
        self._dags.patch_dag(dag, DAGPatchBody(is_paused=paused))

    def is_paused(self, dag: str) -> bool:
        return self._dags.get_dag(dag).is_paused

    def task_ids(self, dag: str) -> list[str]:
        return [task.task_id for task in self._tasks.get_tasks(dag).tasks if task.task_id]

    def trigger(self, dag: str, **params: Any) -> str:  # noqa: ANN401
        """Start a run and return its id."""
        body = TriggerDAGRunPostBody(logical_date=None, conf=params)
        return self._runs.trigger_dag_run(dag, body).dag_run_id

    def clear(self, dag: str, run: str) -> int:
        """Clear the run's failed tasks and those downstream of them; return their number."""
        body = ClearTaskInstancesBody(dag_run_id=run, only_failed=True, dry_run=False)
        return self._task_instances.post_clear_task_instances(dag, body).total_entries or 0

    def follow(self, dag: str, run: str) -> Iterator[list[TaskInstanceResponse]]:
        """The run's tasks, again and again until it has ended."""
        while True:
            # In this order: an ended run's tasks do not change any more.
            state = self.state(dag, run)
            yield self.tasks(dag, run)
            if state in ENDED:
                return
            time.sleep(POLL_INTERVAL_SECONDS)

    def state(self, dag: str, run: str) -> DagRunState:
        return self._runs.get_dag_run(dag, run).state

    def tasks(self, dag: str, run: str) -> list[TaskInstanceResponse]:
        return self._task_instances.get_task_instances(dag, run, limit=500).task_instances

    def runs(self, dag: str) -> list[DAGRunResponse]:
        """The newest runs, newest first."""
        return self._runs.get_dag_runs(dag, order_by=["-run_after"], limit=20).dag_runs

    def has_running(self, dag: str) -> bool:
        return any(run.state == DagRunState.RUNNING for run in self.runs(dag))

    def start_backfill(self, dag: str, begin: datetime, end: datetime) -> int:
        """Run the intervals again, one at a time, also those that succeeded; return its id."""
        body = BackfillPostBody(
            dag_id=dag,
            from_date=begin,
            to_date=end,
            reprocess_behavior=ReprocessBehavior.COMPLETED,
            max_active_runs=1,
        )
        return self._backfills.create_backfill(body).id

    def backfill(self, number: int) -> BackfillResponse:
        return self._backfills.get_backfill(number)

    def backfill_runs(self, dag: str, begin: datetime, end: datetime) -> list[DAGRunResponse]:
        answer = self._runs.get_dag_runs(
            dag, run_type=["backfill"], limit=500, run_after_gte=begin, run_after_lte=end
        )
        return answer.dag_runs

    def log(self, task: TaskInstanceResponse) -> str:
        """What the task's newest try wrote."""
        answer = self._task_instances.get_log(
            task.dag_id, task.dag_run_id, task.task_id, task.try_number, map_index=task.map_index
        )
        lines = answer.content.actual_instance or []
        return "\n".join(line if isinstance(line, str) else line.event for line in lines)
