"""`make demo`: both paths, batch and stream, by the commands that a person would type.

First the lake: source -> bronze -> silver and gold, and proof that silver is the source. Then
the source changes, the stream follows, and Airflow's pipelines do the rest, up to the features.
Each step is timed; a summary follows the lake and the pipelines. Natively, Airflow is installed
and started in the background, for the lake does not need it.
LOAN_CSV=file loads the real applications; otherwise the generator makes ROWS of them.
With AIRFLOW=0 everything is done by hand.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2.extensions
import trino
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.background import Background
from infra.env import env_file, load_env
from infra.errors import LakehouseError
from infra.paths import REPO
from infra.services import airflow_healthy, choose_services

console = Console(highlight=False)


@dataclass(frozen=True)
class Step:
    """One command; its seconds count for one layer of the summary."""

    layer: str
    what: str
    command: str
    folder: str = "."
    # Whether Airflow must be there.
    needs_airflow: bool = False


def lake_steps() -> list[Step]:
    """From the source to gold."""
    csv, rows = os.environ.get("LOAN_CSV"), os.environ.get("ROWS") or "45000"
    fill = f"load --csv {shlex.quote(csv)}" if csv else f"generate --rows {rows}"
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


def stream_steps(with_airflow: bool) -> list[Step]:
    """The source changes, and everything follows."""
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
        Step("stream", "wait until all of it has landed", "python -m ingestion stream wait"),
        *([PIPELINES] if with_airflow else BY_HAND),
        Step("features", "is what is served gold?", "python -O -m feast_repo.consistency"),
        Step(
            "read back",
            "one applicant's features",
            "python -O -m feast_repo.show --application-id 1",
        ),
        RECONCILE,
    ]


BUILD = Step("silver, gold", "build and test the tables", "dbt build", "dbt_project")
RECONCILE = Step("reconcile", "is silver the source?", "python -m ingestion reconcile")
PAUSE = "python -m infra.airflow pause"
NO_SCHEDULE = Step("pipelines", "switch off the schedules of an earlier demo", PAUSE)
PIPELINES = Step(
    "pipelines",
    "Airflow does all of it by schedule; now, because we ask",
    "python -m infra.airflow run loan_batch_ingestion --then loan_etl",
    needs_airflow=True,
)
BY_HAND = [
    Step("silver, gold", "fold the changes in", "dbt build", "dbt_project"),
    Step("features", "register the features", "feast apply", "feast_repo"),
    Step("features", "write them to the online store", "python -O -m feast_repo.materialize"),
]


class Demo:
    """Runs steps one after another, and keeps the seconds that each layer took."""

    def __init__(self, total: int, background: Background) -> None:
        # When `make demo` began, which may have installed Python's environment first.
        self.began = float(os.environ.get("DEMO_BEGAN") or time.time())
        self.total, self.number = total, 0
        self.background = background
        self.seconds: dict[str, float] = {}

    def run(self, steps: list[Step]) -> None:
        """A failure ends the demo with the step's exit code."""
        for step in steps:
            self.number += 1
            self.say_news()
            console.print(f"\n[bold cyan]{self.number}/{self.total} {step.what}[/]")
            if step.needs_airflow:
                self.wait_for_airflow()
            spent = run(step, self.number)
            self.seconds[step.layer] = self.seconds.get(step.layer, 0.0) + spent

    def say_news(self) -> None:
        for line in self.background.news():
            console.print(f"[dim]in the background: {escape(line)}[/]", soft_wrap=True)

    def wait_for_airflow(self) -> None:
        """Its environment and its start, which may have failed: the demo ends then."""
        if not self.background.done():
            console.print("[dim]waiting for Airflow, which is still being installed or started[/]")
        try:
            self.background.wait()
        except LakehouseError as error:
            console.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
            console.print(
                "  -> correct it, then `make demo` again; `make demo AIRFLOW=0` needs none"
            )
            sys.exit(1)
        self.say_news()

    def ready(self, what: str) -> None:
        after = time.time() - self.began
        console.print(f"\n[bold green]{what}[/] {after:.0f} s after the start")


def run(step: Step, number: int) -> float:
    """Run one step and return its seconds; a failure ends the demo with its exit code."""
    into = f"cd {step.folder} && " if step.folder != "." else ""
    console.print(f"[dim]$ {into}{step.command}[/]", soft_wrap=True)
    began = time.monotonic()
    done = subprocess.run(shlex.split(step.command), cwd=REPO / step.folder, check=False)
    if done.returncode:
        console.print(f"[red]error:[/] step {number} failed (exit code {done.returncode})")
        console.print(
            "  -> its message is above; the services still run: correct it, then `make demo` again"
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


def counts(env: dict[str, str], layers: Iterable[str] = COUNTS) -> Iterator[tuple[str, int]]:
    """The rows of each layer that can be counted."""

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
    for layer in COUNTS.keys() & layers:
        engine, query = COUNTS[layer]
        cursor = engines[engine].cursor()
        cursor.execute(query)
        [[count]] = cursor.fetchall()
        yield layer, count


LAKE = [
    ("source", "source", "PostgreSQL, public.loan_applications"),
    ("bronze", "bronze", "the newest snapshot, Parquet in MinIO"),
    ("silver", "silver, gold", "one truth out of both: typed, current, every row tested"),
    ("rejected", "", "rows that break a rule, with its name"),
    ("gold", "", "feature tables and a mart"),
]
PROOF = ("reconcile", "reconcile", "[green]silver + rejected = source, column by column")
ALL = [
    *LAKE[:2],
    ("stream", "stream", "changes since, each landed once"),
    *LAKE[2:],
    ("features", "features", "applications served online from PostgreSQL"),
    ("pipelines", "pipelines", "green in Airflow: batch, dbt's graph, features, reconcile"),
    PROOF,
]


def summary(title: str, lines: list[tuple[str, str, str]], seconds: dict[str, float]) -> None:
    rows = dict(counts(load_env(), [layer for layer, _, _ in lines]))
    table = Table("layer", "rows", "seconds", "what", title=f"\n{title}", title_justify="left")
    for layer, timed, what in lines:
        count = f"{rows[layer]:,}" if layer in rows else ""
        spent = f"{seconds[timed]:.1f}" if timed in seconds else ""
        if count or spent:
            table.add_row(layer, count, spent, what)
    console.print(table)


def start_lake(background: Background, with_airflow: bool) -> list[Step]:
    """What comes first; in containers, all services run already."""
    env = load_env()
    if in_containers(env):
        return [NO_SCHEDULE] if with_airflow else []
    services = " ".join(service.name for service in choose_services(None, ["airflow"]))
    steps = [Step("start", "start the lake's services", f"python -m infra.native up {services}")]
    if not with_airflow:
        return steps
    if airflow_healthy(env):
        return [*steps, NO_SCHEDULE]
    background.submit("Airflow's environment", "python -m infra provision airflow")
    return steps


def in_containers(env: dict[str, str]) -> bool:
    """As make says; the env file has the runtime of before."""
    return (os.environ.get("RUNTIME") or env["RUNTIME"]) == "docker"


def start_airflow(background: Background) -> None:
    """Natively, once the lake runs: both start the same PostgreSQL."""
    env = load_env()
    if not in_containers(env) and not airflow_healthy(env):
        background.submit("Airflow's start", "python -m infra.native up airflow")
        background.submit("Airflow's schedules, off", PAUSE)


def main() -> None:
    env = load_env()
    with_airflow = os.environ.get("AIRFLOW") != "0"
    with Background(Path(env["LAKEHOUSE_STATE"], "logs/airflow-setup.log")) as background:
        first = start_lake(background, with_airflow)
        lake, stream = lake_steps(), stream_steps(with_airflow)
        demo = Demo(len(first) + len(lake) + len(stream), background)
        demo.run(first)
        if with_airflow:
            start_airflow(background)
        demo.run(lake)
        summary("The lake", [*LAKE, PROOF], demo.seconds)
        demo.ready("lake ready")
        demo.run(stream)
        summary("The lakehouse", ALL, demo.seconds)
        demo.ready("pipelines ready" if with_airflow else "all of it by hand, ready")
    console.print(WHERE_NEXT.format(**load_env(), env_file=env_file().name))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        console.print("\nstopped; the services still run: `make down` ends them")
        sys.exit(130)
