"""The demo's steps: the commands that a user would type."""

import os
import shlex
from dataclasses import dataclass

# A rule declines half of the applications; a model needs 1,000 of the others.
MODEL_ROWS = 3_000


@dataclass(frozen=True)
class Step:
    """One command; its seconds count for one layer of the summary."""

    layer: str
    what: str
    command: str
    folder: str = "."
    # Whether what starts in the background must be there.
    needs_background: bool = False


def generated_rows() -> str:
    return os.environ.get("ROWS") or "45000"


def can_train() -> bool:
    """Whether there are enough applications for a model: the file has, and so many rows have."""
    return bool(os.environ.get("LOAN_CSV")) or int(generated_rows()) >= MODEL_ROWS


def lake_steps() -> list[Step]:
    """From the source to gold."""
    csv = os.environ.get("LOAN_CSV")
    fill = f"load --csv {shlex.quote(csv)}" if csv else f"generate --rows {generated_rows()}"
    return [
        Step("source", "fill the source system", f"python -m ingestion source {fill}"),
        Step(
            "stream",
            "follow every change from now on",
            "python -m ingestion stream capture",
        ),
        Step("bronze", "land one consistent snapshot in MinIO", "python -m ingestion batch"),
        Step("bronze", "show what landed to Trino", "python -m ingestion bronze-tables"),
        BUILD,
        RECONCILE,
    ]


def stream_steps(with_airflow: bool, with_flink: bool) -> list[Step]:
    """Changes in the source, from the stream to the features."""
    return [
        Step(
            "stream",
            "applications come, change, are decided and withdrawn",
            "python -m ingestion source simulate --rate 200 --for 10s",
        ),
        Step(
            "freshness",
            "how long until a query sees a change?",
            "python -m ingestion source probe --times 5",
        ),
        *([ONLINE] if with_flink else []),
        Step("stream", "wait until all of it has landed", "python -m ingestion stream wait"),
        *([PIPELINES] if with_airflow else WITHOUT_AIRFLOW),
        Step("features", "is what is served gold?", "python -O -m feast_repo.consistency"),
        Step(
            "read back",
            "one applicant's features",
            "python -O -m feast_repo.show --application-id 1",
        ),
        RECONCILE,
    ]


BUILD = Step("silver, gold", "build and test the tables", "dbt build", "dbt_project")
ONLINE = Step(
    "online",
    "how long until the online store has a change? Flink writes it, before dbt runs",
    "python -m streaming probe --times 5",
)
RECONCILE = Step("reconcile", "is silver the source?", "python -m ingestion reconcile")
PAUSE = "python -m infra.airflow pause"
NO_SCHEDULE = Step("pipelines", "switch off the schedules of an earlier demo", PAUSE)
PIPELINES = Step(
    "pipelines",
    "run the scheduled Airflow pipelines now",
    "python -m infra.airflow run loan_batch_ingestion --then loan_etl",
    needs_background=True,
)
WITHOUT_AIRFLOW = [
    Step("silver, gold", "update them with the changes", "dbt build", "dbt_project"),
    Step("features", "register the features", "feast apply", "feast_repo"),
    Step("features", "write them to the online store", "python -O -m feast_repo.materialize"),
]
MODEL = [
    Step(
        "model",
        "train a model on the features, and promote it if it passes",
        "python -O -m ml train",
        needs_background=True,
    ),
    Step("model", "have it score every application", "python -O -m ml score --if-champion"),
    Step("model", "show the scores", "dbt build --quiet --select tag:scores", "dbt_project"),
]
