"""Where each table comes from, as OpenLineage events.

`OPENLINEAGE_URL` says which backend gets them; without one they go into a file of the
state folder, a line each (`infra/native/bin/airflow` sets both).
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from include.common import INGESTED


def emit(_: str, context: Any) -> None:  # noqa: ANN401 (Airflow's)
    """Send what the ended run of dbt read and wrote: a callback of Cosmos's producer.

    Cosmos reads the events from dbt's artifacts, one for each model; the environment
    configures where they are sent (``OpenLineageClient``).
    """
    send(context["task"].openlineage_events_completes)


def send(events: Iterable[Any]) -> None:
    # Not above: reading the pipelines must not wait for it.
    from openlineage.client import OpenLineageClient  # noqa: PLC0415

    client = OpenLineageClient()
    for event in events:
        client.emit(event)
    client.close()


def landed(context: Any) -> None:  # noqa: ANN401 (Airflow's)
    """Send what bronze's tables come from: the source's, by batch (x) and by stream (x_changes)."""
    from openlineage.client import event_v2  # noqa: PLC0415
    from openlineage.client.uuid import generate_new_uuid  # noqa: PLC0415

    env = os.environ
    source = f"postgres://{env['POSTGRES_HOST']}:{env['POSTGRES_PORT']}"
    lake = f"trino://{env['TRINO_HOST']}:{env['TRINO_PORT']}"
    tables = [
        (table["source"], f"{INGESTED['bronze_schema']}.{table['name']}{suffix}")
        for table in INGESTED["tables"]
        for suffix in ("", "_changes")
    ]
    send(
        event_v2.RunEvent(
            eventType=event_v2.RunState.COMPLETE,
            eventTime=datetime.now(UTC).isoformat(),
            run=event_v2.Run(str(generate_new_uuid())),
            job=event_v2.Job(context["dag"].dag_id, written),
            inputs=[event_v2.InputDataset(source, f"{env['SOURCE_DB']}.{read}")],
            outputs=[event_v2.OutputDataset(lake, written)],
        )
        for read, written in tables
    )
