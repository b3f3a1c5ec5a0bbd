"""`make demo`: both paths, batch and stream, by the commands that a person would type.

Source -> bronze -> silver and gold, then the source changes and the stream follows;
Airflow's pipelines do the rest, up to the features: each step timed, then a summary.
LOAN_CSV=file loads the real applications; otherwise the generator makes ROWS of them.
With AIRFLOW=0 everything is done by hand.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg2.extensions
import trino
from rich.console import Console
from rich.table import Table

from infra.native.env import env_file, load_env
from infra.native.paths import REPO

console = Console(highlight=False)


@dataclass(frozen=True)
class Step:
    """One command; its seconds count for one layer of the summary."""

    layer: str
    what: str
    command: str
    folder: str = "."


def steps() -> list[Step]:
    csv, rows = os.environ.get("LOAN_CSV"), os.environ.get("ROWS") or "45000"
    fill = f"load --csv {shlex.quote(csv)}" if csv else f"generate --rows {rows}"
    with_airflow = os.environ.get("AIRFLOW") != "0"
    return [
        *([NO_SCHEDULE] if with_airflow else []),
        Step("source", "fill the source system", f"python -m ingestion source {fill}"),
        Step(
            "stream",
            "follow every change from now on",
            "python -m ingestion stream capture",
        ),
        Step("bronze", "land one consistent snapshot in MinIO", "python -m ingestion batch"),
        Step("bronze", "show what landed to Trino", "python -m ingestion bronze-tables"),
        Step("silver, gold", "build and test the tables", "dbt build", "dbt_project"),
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
        Step("stream", "wait until all of it has landed", "python -m ingestion stream wait"),
        *([PIPELINES] if with_airflow else BY_HAND),
        Step("features", "is what is served gold?", "python -m feast_repo.consistency"),
        Step(
            "read back", "one applicant's features", "python -m feast_repo.show --application-id 1"
        ),
        Step("reconcile", "is silver the source?", "python -m ingestion reconcile"),
    ]


NO_SCHEDULE = Step(
    "pipelines",
    "no schedule of an earlier demo shall run meanwhile",
    "python -m infra.airflow pause",
)
PIPELINES = Step(
    "pipelines",
    "Airflow does all of it by schedule; now, because we ask",
    "python -m infra.airflow run loan_batch_ingestion --then loan_etl",
)
BY_HAND = [
    Step(
        "silver, gold",
        "fold the changes in",
        "dbt build --exclude-resource-type unit_test",
        "dbt_project",
    ),
    Step("features", "register the features", "feast apply", "feast_repo"),
    Step("features", "bring them online", "python -m feast_repo.materialize"),
]


def run(step: Step, number: int, total: int) -> float:
    """Run one step and return its seconds; a failure ends the demo with its exit code."""
    console.print(f"\n[bold cyan]{number}/{total} {step.what}[/]")
    into = f"cd {step.folder} && " if step.folder != "." else ""
    console.print(f"[dim]$ {into}{step.command}[/]")
    began = time.monotonic()
    done = subprocess.run(shlex.split(step.command), cwd=REPO / step.folder, check=False)
    if done.returncode:
        console.print(f"[red]error:[/] step {number} failed (exit code {done.returncode})")
        console.print(
            "  -> its message is above; the services still run: mend it, `make demo` again"
        )
        sys.exit(done.returncode)
    return time.monotonic() - began


COUNTS = {
    "source": ("source", "select count(*) from loan_applications"),
    "bronze": ("trino", "select max_by(row_count, lsn) from hive.bronze.batch_snapshots"),
    "stream": (
        "trino",
        "select count(*) from iceberg.silver.int_loan_applications__landed where claim = 'event'",
    ),
    "silver": ("trino", "select count(*) from iceberg.silver.loan_applications"),
    "rejected": ("trino", "select count(*) from iceberg.silver.rejected_loan_applications"),
    "gold": ("trino", "select count(*) from iceberg.gold.loan_features"),
    "features": ("feast", "select count(*) from loan_approval_loan"),
}


WHERE_NEXT = """
Where to look
  stream     make stream-status
  Trino      http://{TRINO_HOST}:{TRINO_PORT}  (user name: admin)
  Airflow    http://{AIRFLOW_HOST}:{AIRFLOW_PORT}  (AIRFLOW_ADMIN_USER and _PASSWORD in {env_file})
  MinIO      http://{MINIO_HOST}:{MINIO_CONSOLE_PORT}  (MINIO_ROOT_USER and _PASSWORD in {env_file})
  dbt docs   make docs, then http://{BIND_HOST}:{DBT_DOCS_PORT}
  features   make feast-ui, then http://{BIND_HOST}:{FEAST_UI_PORT}; make features serves them

What to try next
  python -m ingestion source simulate --rate 500 --for 60s
  make sql Q="select count(*) from silver.loan_applications_live"
  make sql Q="select * from gold.loan_book_by_vintage"
  source infra/activate.sh; cd dbt_project; dbt build --select gold
  python -m feast_repo.show --application-id 42
  make status; make reconcile; make down"""


def counts(env: dict[str, str]) -> Iterator[tuple[str, int]]:
    def postgres(database: str, user: str) -> psycopg2.extensions.connection:
        return psycopg2.connect(
            host=env["POSTGRES_HOST"],
            port=env["POSTGRES_PORT"],
            dbname=env[database],
            user=env[f"{user}_USER"],
            password=env[f"{user}_PASSWORD"],
        )

    engines = {
        "source": postgres("SOURCE_DB", "SOURCE_READER"),
        "trino": trino.dbapi.connect(env["TRINO_HOST"], int(env["TRINO_PORT"]), user="demo"),
        "feast": postgres("FEAST_DB", "FEAST_DB"),
    }
    for layer, (engine, query) in COUNTS.items():
        cursor = engines[engine].cursor()
        cursor.execute(query)
        [[count]] = cursor.fetchall()
        yield layer, count


def summary(env: dict[str, str], seconds: dict[str, float]) -> None:
    rows = dict(counts(env))
    table = Table("layer", "rows", "seconds", "what", title="\nThe lakehouse", title_justify="left")
    for layer, timed, what in [
        ("source", "source", "PostgreSQL, public.loan_applications"),
        ("bronze", "bronze", "the newest snapshot, Parquet in MinIO"),
        ("stream", "stream", "changes since, each landed once"),
        ("silver", "silver, gold", "one truth out of both: typed, current, every row tested"),
        ("rejected", "", "rows that break a rule, with its name"),
        ("gold", "", "feature tables and a mart"),
        ("features", "features", "applications served online from PostgreSQL"),
        ("pipelines", "pipelines", "green in Airflow: batch, dbt's graph, features, reconcile"),
        ("reconcile", "reconcile", "[green]silver + rejected = source, column by column"),
    ]:
        count = f"{rows[layer]:,}" if layer in rows else ""
        spent = f"{seconds[timed]:.1f}" if timed in seconds else ""
        table.add_row(layer, count, spent, what)
    console.print(table)
    console.print(WHERE_NEXT.format(**env, env_file=env_file().name))


def main() -> None:
    todo = steps()
    seconds: dict[str, float] = {}
    for number, step in enumerate(todo, start=1):
        spent = run(step, number, len(todo))
        seconds[step.layer] = seconds.get(step.layer, 0.0) + spent
    summary(load_env(), seconds)


if __name__ == "__main__":
    main()
