"""Where each table comes from, as OpenLineage events of a run of dbt.

`OPENLINEAGE_URL` says which backend gets them; without one they go into a file of the
state folder, a line each (`infra/native/bin/airflow` sets both).
"""

from typing import Any


def emit(_: str, context: Any) -> None:  # noqa: ANN401 (Airflow's)
    """Send what the ended run of dbt read and wrote: a callback of Cosmos's producer.

    Cosmos reads the events out of dbt's artifacts, one for each model; whoever listens is
    looked for by the environment (``OpenLineageClient``).
    """
    # Not above: reading the pipelines must not wait for it.
    from openlineage.client import OpenLineageClient  # noqa: PLC0415

    client = OpenLineageClient()
    for event in context["task"].openlineage_events_completes:
        client.emit(event)
    client.close()
