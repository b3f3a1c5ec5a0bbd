"""What the demo shows at its end: the rows of each layer, its seconds, and where to look next."""

from collections.abc import Iterable, Iterator

import psycopg2.extensions
import trino
from rich.console import Console
from rich.table import Table

from infra.env import load_env

# How the rows of each layer are counted: the engine and the query.
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
    "model": ("trino", "select count(distinct application_id) from iceberg.silver.loan_scores"),
}

NEXT_STEPS = """
Where to look
  stream     make stream-status
  Flink      http://{FLINK_HOST}:{FLINK_PORT}, or python -m streaming status
  Trino      http://{TRINO_HOST}:{TRINO_PORT}  (user name: admin)
  Airflow    http://{AIRFLOW_HOST}:{AIRFLOW_PORT}  (AIRFLOW_ADMIN_USER and _PASSWORD in {env_file})
  MLflow     make up, then http://{MLFLOW_HOST}:{MLFLOW_PORT}
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


def count_rows(env: dict[str, str], layers: Iterable[str] = COUNTS) -> Iterator[tuple[str, int]]:
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
SCORED = ("model", "model", "applications scored by the champion: `python -m ml list`")


def print_summary(
    console: Console, title: str, lines: list[tuple[str, str, str]], seconds: dict[str, float]
) -> None:
    rows = dict(count_rows(load_env(), [layer for layer, _, _ in lines]))
    table = Table("layer", "rows", "seconds", "what", title=f"\n{title}", title_justify="left")
    for layer, timed, what in lines:
        count = f"{rows[layer]:,}" if layer in rows else ""
        spent = f"{seconds[timed]:.1f}" if timed in seconds else ""
        if count or spent:
            table.add_row(layer, count, spent, what)
    console.print(table)
