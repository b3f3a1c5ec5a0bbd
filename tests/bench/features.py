"""Feast's speed: materialising against COPY, joining against plain SQL, reading online."""

import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
import trino
from feast import FeatureStore
from feast.infra.offline_stores.contrib.trino_offline_store.trino import TrinoRetrievalJob
from rich.progress import Progress

from feast_repo.contracts import NOT_FEATURES, contract
from feast_repo.materialize import materialize
from feast_repo.store import gold_views, open_store
from feast_repo.typed_postgres import table_name
from infra.paths import REPO
from infra.provision import environment
from tests.bench.measure import Measured, Row, measure, seconds
from tests.stack import native

BIN = Path(sys.executable).parent
SIZES = [int(rows) for rows in (os.environ.get("ROWS") or "45000 1000000").split()]
REPEATS = 3  # the best of them counts: the machine's other work only ever adds
CHANGED = 1_000
CLIENTS = 8
READS = 1_000
KEYS_AT_ONCE = (1, 10, 100)

GOLD = "iceberg.gold"
TABLES = ("applicant_features", "credit_history_features", "loan_features")
VALUES = {
    "bigint": "application_id * 7919 % 1000",
    "double": "application_id * 7919 % 1000000 / 1e2",
    "varchar": "if(application_id % 2 = 0, varchar 'MORTGAGE', 'RENT')",
    "boolean": "application_id % 2 = 0",
}
# Of each application two versions, a day apart.
HISTORY = """
create or replace table {gold}.historical_features with (sorted_by = array['application_id']) as
select
    application_id,
    from_unixtime(1767225600 + application_id % 1000 + 86400 * version) as event_timestamp,
    from_unixtime(1767225600 + application_id % 1000 + 86400 * version) as created_timestamp,
    {features},
    version = 1 as is_current
from unnest(sequence(0, {rows} / 1000 - 1)) as high (high)
cross join unnest(sequence(1, 1000)) as low (low)
cross join unnest(array[1000 * high + low]) as keys (application_id)
cross join (values 0, 1) as versions (version)
"""
# Half of them ask for the older version.
ENTITIES = """
create or replace table {gold}.bench_entities as
select application_id, event_timestamp + interval '1' hour as event_timestamp
from {gold}.historical_features
where is_current = (application_id % 2 = 0)
"""
ORACLE = """
create table iceberg.feast.bench_joined as
select application_id, event_timestamp, {features}
from (
    select
        entity.application_id,
        entity.event_timestamp,
        {features},
        row_number() over (
            partition by entity.application_id, entity.event_timestamp
            order by history.event_timestamp desc, history.created_timestamp desc
        ) as place
    from {gold}.bench_entities as entity
    left join {gold}.historical_features as history
        on
            entity.application_id = history.application_id
            and history.event_timestamp <= entity.event_timestamp
            and history.event_timestamp >= entity.event_timestamp - interval '3650' day
)
where place = 1
"""


def query(sql: str) -> None:
    env = environment()
    with trino.dbapi.connect(env["TRINO_HOST"], int(env["TRINO_PORT"]), user="admin") as connection:
        connection.cursor().execute(sql).fetchall()


def run_psql(*commands: str) -> Measured:
    env = environment()
    command = [f"{env['POSTGRES_BIN']}/psql", "-Xq", "-v", "ON_ERROR_STOP=1"]
    command += ["-h", env["POSTGRES_HOST"], "-p", env["POSTGRES_PORT"]]
    command += ["-U", env["FEAST_DB_USER"], "-d", env["FEAST_DB"]]
    arguments = [part for text in commands for part in ("-c", text)]
    return measure([*command, *arguments], PGPASSWORD=env["FEAST_DB_PASSWORD"])


def best(work: Callable[[], object], before: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        before()
        taken.append(seconds(work))
    return min(taken)


def features(*tables: str) -> dict[str, str]:
    """Names and types of the columns of gold's tables without key and times."""
    columns = [column for table in tables for column in contract(table)["columns"].items()]
    return {name: c["data_type"] for name, c in columns if name not in NOT_FEATURES}


def make_gold(rows: int) -> None:
    made = [f"{VALUES[kind]} as {name}" for name, kind in features(*TABLES).items()]
    query(HISTORY.format(gold=GOLD, rows=rows, features=", ".join(made)))
    for table in TABLES:
        columns = ", ".join((*NOT_FEATURES, *features(table)))
        query(
            f"create or replace table {GOLD}.{table} as"
            f" select {columns} from {GOLD}.historical_features where is_current"
        )
    query(ENTITIES.format(gold=GOLD))


def apply() -> None:
    """Register the features; gold's tables must be there."""
    measure([str(BIN / "feast"), "apply"], str(REPO / "feast_repo"), PYTHONPATH=str(REPO))


def materialising(store: FeatureStore, rows: int) -> list[Row]:
    tables = [table_name(store.project, view) for view in gold_views(store)]

    def nothing() -> None:
        pass

    def empty() -> None:
        run_psql(f"truncate {', '.join(tables)}")

    def change() -> None:
        query(
            f"update {GOLD}.loan_features set loan_amount = loan_amount + 1"
            f" where application_id % {rows // CHANGED} = 0"
        )

    def materialize_views() -> None:
        materialize(store, Progress(disable=True), everything=False)

    empty()
    process = measure([str(BIN / "python"), "-m", "feast_repo.materialize"], str(REPO))
    with TemporaryDirectory() as folder:
        run_psql(*(f"\\copy {table} to '{folder}/{table}'" for table in tables))
        copies = [f"\\copy {table} from '{folder}/{table}'" for table in tables]
        copy = best(lambda: run_psql(*copies), empty)
    online = best(materialize_views, empty)
    changed, unchanged = best(materialize_views, change), best(materialize_views, nothing)
    return [
        {
            "way": way,
            "rows": written,
            "seconds": spent,
            "rows_per_second": written / spent,
            "times_copy": spent / copy,
            "peak_mb": peak,
        }
        for way, written, spent, peak in (
            ("COPY of the same rows", rows, copy, ""),
            ("feast_repo.materialize, all of it", rows, process.seconds, process.peak_mb),
            ("  of which materialising", rows, online, ""),
            ("  when few have changed", CHANGED, changed, ""),
            ("  when none has", 0, unchanged, ""),
        )
    ]


def joining(store: FeatureStore, rows: int) -> list[Row]:
    oracle = ORACLE.format(gold=GOLD, features=", ".join(features(*TABLES)))

    result = "iceberg.feast.bench_joined_by_feast"

    def join() -> None:
        job = store.get_historical_features(
            entity_df=f"select * from {GOLD}.bench_entities",
            features=store.get_feature_service("loan_approval_with_leak"),
        )
        assert isinstance(job, TrinoRetrievalJob)
        job.to_trino(result)

    def drop() -> None:
        for table in ("iceberg.feast.bench_joined", result):
            query(f"drop table if exists {table}")

    plain, feast = best(lambda: query(oracle), drop), best(join, drop)
    drop()
    return [
        {"entities": rows, "way": way, "seconds": spent, "times_plain_sql": spent / plain}
        for way, spent in (("plain SQL", plain), ("get_historical_features", feast))
    ]


def reading(store: FeatureStore, rows: int) -> list[Row]:
    """Milliseconds of a read of all features for a model, by the SDK and by HTTP."""
    native("up", "features")
    service = store.get_feature_service("loan_approval")
    env = environment()
    url = f"http://{env['FEATURE_SERVER_HOST']}:{env['FEATURE_SERVER_PORT']}/get-online-features"
    per_thread = threading.local()

    def by_sdk(entities: dict[str, list[float]]) -> None:
        store.get_online_features(features=service, entity_rows=entities).to_dict()

    def by_http(entities: dict[str, list[float]]) -> None:
        if not hasattr(per_thread, "session"):
            per_thread.session = requests.Session()
            per_thread.session.headers["Authorization"] = f"Bearer {env['FEATURE_SERVER_TOKEN']}"
        body = {"feature_service": service.name, "entities": entities}
        per_thread.session.post(url, json=body, timeout=30).raise_for_status()

    results: list[Row] = []
    for way, read in (("SDK", by_sdk), ("HTTP", by_http)):
        for clients in (1, CLIENTS):
            for keys in KEYS_AT_ONCE:
                taken = sorted(read_by(clients, read, keys, rows))
                results.append(
                    {
                        "way": way,
                        "clients": clients,
                        "keys": keys,
                        "p50_ms": 1000 * statistics.median(taken),
                        "p99_ms": 1000 * taken[len(taken) * 99 // 100],
                    }
                )
    return results


def read_by(
    clients: int, read: Callable[[dict[str, list[float]]], None], keys: int, rows: int
) -> list[float]:
    """Seconds of each of READS reads by so many threads; those that warm up do not count."""
    taken: list[float] = []

    def client(number: int) -> None:
        for turn in range(-20, READS // clients):
            first = (number * 7919 + turn * 104_729) % (rows - keys) + 1
            entities: dict[str, list[float]] = {
                "application_id": list(range(first, first + keys)),
                "requested_amount": [1000.0] * keys,
            }
            began = time.monotonic()
            read(entities)
            if turn >= 0:
                taken.append(time.monotonic() - began)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def measure_features() -> dict[str, list[Row]]:
    tables: dict[str, list[Row]] = {"materialising": [], "joining": [], "reading": []}
    for rows in SIZES:
        make_gold(rows)
        apply()
        store = open_store()
        tables["materialising"] += materialising(store, rows)
        tables["joining"] += joining(store, rows)
    tables["reading"] = reading(store, rows)
    return tables
