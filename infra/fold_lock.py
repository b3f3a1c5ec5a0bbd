"""The lock that a run of dbt takes before it folds, for other programs that write silver.

It is a table whose comment names the holder: see dbt_project/macros/fold_lock.sql.
"""

# The names are our own.
# ruff: noqa: S608

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import yaml

from infra.paths import REPO

LEASE_SECONDS = yaml.safe_load((REPO / "dbt_project/dbt_project.yml").read_text())["vars"][
    "fold_lock_lease_seconds"
]


class FoldLock:
    """The lock of the lake whose silver is in ``schema`` of ``catalog``.

    ``query`` runs a statement in Trino and returns its rows. As long as the lock is held,
    a statement that begins with ``mark`` must run at least every ``LEASE_SECONDS``.
    """

    def __init__(
        self, query: Callable[[str], list[list[Any]]], catalog: str, schema: str, command: str
    ) -> None:
        self._query = query
        self._catalog = catalog
        self._schema = schema
        self._command = command
        self._run = f"{command}/{uuid.uuid4()}"

    @property
    def mark(self) -> str:
        """A comment that shows Trino who runs a statement."""
        return f"/* {json.dumps({'run': self._run})} */ "

    @contextmanager
    def attempt(self) -> Iterator[bool]:
        """Take the lock and release it at the end; False if another run has it."""
        held = self._take()
        try:
            yield held
        finally:
            if held:
                self._query(f"drop table if exists {self._table}")

    def _take(self) -> bool:
        holder = json.dumps(
            {
                "command": self._command,
                "run": self._run,
                "since": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        self._query(f"create table if not exists {self._table} (unused boolean) comment '{holder}'")
        found = self._holder()
        if found and found["run"] != self._run and self._is_expired(found):
            self._break(found)
        return found is not None and found["run"] == self._run

    @property
    def _table(self) -> str:
        return f"{self._catalog}.{self._schema}.fold_lock"

    def _holder(self) -> dict[str, str] | None:
        rows = self._query(
            "select comment from system.metadata.table_comments"
            f" where catalog_name = '{self._catalog}' and schema_name = '{self._schema}'"
            " and table_name = 'fold_lock'"
        )
        return json.loads(rows[0][0]) if rows else None

    def _is_expired(self, holder: dict[str, str]) -> bool:
        lease = f"interval '{LEASE_SECONDS}' second"
        [[expired]] = self._query(
            f"select from_iso8601_timestamp('{holder['since']}') < current_timestamp - {lease}"
            f" and not exists ({statements_of(holder)}"
            f" and last_heartbeat > current_timestamp - {lease})"
        )
        return bool(expired)

    def _break(self, holder: dict[str, str]) -> None:
        """End what Trino still does for the holder, and then its lock."""
        for (query_id,) in self._query(f'{statements_of(holder)} and "end" is null'):
            self._query(f"call system.runtime.kill_query('{query_id}', 'its run was killed')")
        self._query(f"drop table if exists {self._table}")


def statements_of(holder: dict[str, str]) -> str:
    """A query: the ids of the holder's statements. A comment in each names the run."""
    return (
        "select query_id from system.runtime.queries"
        f" where strpos(query, '\"run\": ' || '\"{holder['run']}\"') > 0"
    )
