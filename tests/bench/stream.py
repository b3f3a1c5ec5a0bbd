"""The stream's speed: landing against a bare loop, freshness under load, silver by history."""

import json
import math
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from kafka import KafkaConsumer, TopicPartition

from infra.native.stack import Supervisor
from infra.paths import REPO
from infra.provision import environment
from ingestion.postgres import connect_owner
from ingestion.settings import get_settings
from ingestion.storage import Bronze
from ingestion.stream.client import open_admin
from ingestion.stream.member import Member, consume, consumer_options
from ingestion.stream.offsets import read_positions
from ingestion.stream.topics import topic_of
from ingestion.tables import load_tables
from tests.bench.measure import Row, seconds
from tests.stack import ingest

BIN = Path(sys.executable).parent
KEYS = 50_000
EVENTS = 200_000
REPEATS = 3
RATES = (10, 500, 2_000, 5_000)
ROUNDS = 3
PROBES = 20
HISTORIES = (1, 10, 100)
CHANGES = 1_000


def prepare() -> None:
    """A source of KEYS rows, captured, landed, and folded once."""
    ingest("source", "generate", "--rows", str(KEYS))
    ingest("stream", "capture")
    ingest("batch")
    ingest("bronze-tables")
    dbt()


def dbt() -> None:
    command = [str(BIN / "dbt"), "build", "--quiet", "--select", "+silver"]
    command += ["--exclude-resource-type", "test", "unit_test"]
    subprocess.run(command, cwd=REPO / "dbt_project", check=True, capture_output=True)


@dataclass(frozen=True)
class Changed:
    """How many rows were changed, and the moment of the first commit."""

    rows: int
    committed: float


def change(rows: int) -> Changed:
    """Update so many rows, each once, in transactions of at most KEYS.

    They are fewer where a simulation has deleted rows.
    """
    settings = get_settings()
    changed = 0
    commits = []
    connection = connect_owner(settings, "bench")
    with connection.cursor() as cursor:
        for start in range(0, rows, KEYS):
            cursor.execute(
                "update loan_applications set updated_at = clock_timestamp()"
                " where application_id <= %s",
                (min(KEYS, rows - start),),
            )
            changed += cursor.rowcount
            connection.commit()
            commits.append(time.monotonic())
    connection.close()
    return Changed(changed, commits[0])


class Consumers:
    """The supervised consumers, stopped during the block."""

    def __enter__(self) -> None:
        Supervisor(environment()).rpc().supervisor.stopProcessGroup("consumer")

    def __exit__(self, *_: object) -> None:
        Supervisor(environment()).rpc().supervisor.startProcessGroup("consumer")


def landing() -> list[Row]:
    """Events per second of one process, the best of REPEATS, each over the same topic."""
    best: dict[str, float] = {}
    for _ in range(REPEATS):
        with Consumers():
            begin = ends()
            rates = {"Debezium into Kafka": EVENTS / seconds(produce)}
            finish = ends()
            rates["ingestion stream consume, PUT included"] = EVENTS / seconds(land)
            rates["kafka-python, consume only"] = EVENTS / seconds(lambda: read(begin, finish))  # noqa: B023
            rates["confluent-kafka, consume only"] = EVENTS / read_with_confluent(begin, finish)
        for name, rate in rates.items():
            best[name] = max(best.get(name, 0), rate)
    return [{"way": name, "events_per_second": rate} for name, rate in best.items()]


def ends() -> dict[int, int]:
    """Where each partition's log ends."""
    settings = get_settings()
    with open_admin(settings) as admin:
        return {p.partition: p.end for p in read_positions(admin, settings, load_tables().tables)}


def produce() -> Changed:
    """Change EVENTS rows and return when Kafka has them."""
    before = sum(ends().values())
    changed = change(EVENTS)
    while sum(ends().values()) < before + changed.rows:
        time.sleep(0.05)
    return changed


def land() -> None:
    """One consumer, in this process, so that Python's start is not measured."""
    settings, tables = get_settings(), load_tables().tables
    stop = threading.Event()
    # As all of the group's members: the stopped ones' partitions would wait for them.
    members = [Member(settings, tables, n + 1) for n in range(settings.stream_consumers)]
    consumers = [
        threading.Thread(target=consume, args=(member, lambda _: None, stop), daemon=True)
        for member in members
    ]
    for consumer in consumers:
        consumer.start()
    with open_admin(settings) as admin:
        while any(p.lag for p in read_positions(admin, settings, tables)):
            time.sleep(0.05)
    stop.set()
    for consumer in consumers:
        consumer.join()


def read(begin: dict[int, int], finish: dict[int, int]) -> None:
    """The least that a consumer does, by the client and the options that ours has."""
    settings, tables = get_settings(), load_tables().tables
    options = consumer_options(Member(settings, tables, 1))
    for name in ("group_id", "group_instance_id", "partition_assignment_strategy"):
        del options[name]
    consumer: Any = KafkaConsumer(**options)
    topic = topic_of(settings, tables[0])
    partitions = {TopicPartition(topic, n): offset for n, offset in begin.items()}
    consumer.assign(list(partitions))
    for partition, offset in partitions.items():
        consumer.seek(partition, offset)
    wanted = EVENTS
    while wanted > 0:
        wanted -= sum(len(records) for records in consumer.poll(500).values())
    consumer.close()


def read_with_confluent(begin: dict[int, int], finish: dict[int, int]) -> float:
    settings = get_settings()
    job = {
        "servers": f"{settings.kafka_host}:{settings.kafka_port}",
        "topic": topic_of(settings, load_tables().tables[0]),
        "begin": begin,
        "events": EVENTS,
    }
    program = [str(REPO / ".venv-bench/bin/python"), str(REPO / "tests/bench/consume_confluent.py")]
    done = subprocess.run([*program, json.dumps(job)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def freshness() -> list[Row]:
    """Seconds from commit to visible in the live view, in the minute after a run of dbt."""
    rows = []
    for rate in RATES:
        rows.append(freshness_at(rate))
        print(rows[-1], flush=True)  # it takes minutes; what is known is known
    return rows


def freshness_at(rate: int) -> Row:
    """In ROUNDS rounds, for the more the live view has to lay over the last run, the slower."""
    bronze, settings = Bronze(get_settings()), get_settings()
    folder = f"cdc/{topic_of(settings, load_tables().tables[0])}"
    simulate = [sys.executable, "-m", "ingestion", "source", "simulate", "--rate", str(rate)]
    found: list[float] = []
    hours = objects = size = 0.0
    for _ in range(ROUNDS):
        dbt()
        before, began = {one.key for one in bronze.objects(folder)}, time.monotonic()
        simulator = subprocess.Popen(
            simulate, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(2)
        try:
            probed = json.loads(ingest("source", "probe", "--times", str(PROBES), "--json"))
            found += [one["seconds"] for one in probed["probes"]]
        except RuntimeError:  # not seen within a minute: the machine has too much to do
            found.append(math.inf)
        simulator.terminate()
        simulator.wait()
        hours += (time.monotonic() - began) / 3600
        new = [one for one in bronze.objects(folder) if one.key not in before]
        objects, size = objects + len(new), size + sum(one.size for one in new)
        ingest("stream", "wait")
    found.sort()
    return {
        "rate": rate,
        "probes": len(found),
        "p50": found[len(found) // 2],
        "p95": found[len(found) * 95 // 100],
        "greatest": found[-1],
        "objects_per_hour": objects / hours,
        "bytes_per_object": size / max(1, objects),
    }


def silver_by_history() -> list[Row]:
    """Seconds and bytes of folding in CHANGES changes, with a growing history."""
    rows: list[Row] = []
    history = 0
    for times in HISTORIES:
        wanted = times * 10_000
        change(wanted - history)
        history = wanted
        ingest("stream", "wait")
        dbt()
        change(CHANGES)
        history += CHANGES
        ingest("stream", "wait")
        known = {query["queryId"] for query in queries()}
        spent = seconds(dbt)
        new = [query for query in queries() if query["queryId"] not in known]
        rows.append(
            {
                "history": wanted,
                "seconds": spent,
                "bytes_read": sum(size(q["queryStats"]["physicalInputDataSize"]) for q in new),
                "queries": len(new),
            }
        )
    return rows


def queries() -> list[dict[str, Any]]:
    """What Trino remembers of the queries that dbt ran."""
    env = environment()
    url = f"http://{env['TRINO_HOST']}:{env['TRINO_PORT']}/v1/query"
    answer = requests.get(url, headers={"X-Trino-User": "bench"}, timeout=30).json()
    return [query for query in answer if query["session"].get("source", "").startswith("dbt")]


def size(text: str) -> int:
    """Bytes of Trino's data sizes: 0B, 12345B."""
    return int(float(text.removesuffix("B")))
