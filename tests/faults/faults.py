"""What can be done to a stack, each a line in the table that the drill prints."""

import multiprocessing
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.synchronize import Event

from kafka import KafkaConsumer, TopicPartition

from ingestion.settings import get_settings
from ingestion.stream import buffer
from ingestion.stream.buffer import FLUSH_SECONDS
from ingestion.stream.consumer import Consumer
from ingestion.stream.member import SESSION_MS, Member, consumer_options
from ingestion.stream.topics import topic_of
from ingestion.tables import load_tables
from tests.faults.scene import Scene
from tests.s3_proxy import ProxyMode

# Does it, and returns when its cause is over; says what exactly it did.
Strike = Callable[[Scene], str]


@dataclass(frozen=True)
class Fault:
    """``in_dbt_run``: it happens while dbt builds silver, and the next run of dbt must succeed."""

    name: str
    strike: Strike
    in_dbt_run: bool = False


def kill(*services: str) -> Strike:
    """Kill every process of the services, at once."""

    def strike(scene: Scene) -> str:
        scene.kill(*scene.processes(*services))
        return ""

    return strike


def kill_some(count: Callable[[random.Random], int], *services: str) -> Strike:
    """Kill some processes of the services (of any, if none is named), chosen at random."""

    def strike(scene: Scene) -> str:
        chosen = scene.dice.sample(scene.processes(*services), count(scene.dice))
        scene.kill(*chosen)
        return ", ".join(chosen)

    return strike


def kill_flink(part: str) -> Strike:
    """Kill one of Flink's processes."""

    def strike(scene: Scene) -> str:
        scene.kill(f"flink-{part}")
        return ""

    return strike


def freeze(service: str, least: float, most: float) -> Strike:
    """Stop a process of the service for some seconds."""

    def strike(scene: Scene) -> str:
        name = scene.dice.choice(scene.processes(service))
        seconds = scene.dice.uniform(least, most)
        with scene.frozen(name):
            time.sleep(seconds)
        return f"{name}, {seconds:.1f} s"

    return strike


def make_zombie(scene: Scene) -> str:
    """Freeze a consumer during an upload until another has its partition; then both run.

    What it was storing reaches MinIO only when the other one has landed more.
    """
    assert scene.proxy
    name = scene.dice.choice(scene.processes("consumer"))
    seconds = SESSION_MS / 1000 + scene.dice.uniform(3, 9)
    scene.proxy.released.clear()
    with ExitStack() as sleep:
        with scene.disturbed(ProxyMode.hold):
            time.sleep(2 * FLUSH_SECONDS)  # by then it has tried to store something
            sleep.enter_context(scene.frozen(name))
        time.sleep(seconds)
        scene.proxy.released.set()
        time.sleep(1)
    return f"{name}, {seconds:.1f} s"


def disturb(mode: ProxyMode) -> Strike:
    """Let the proxy before MinIO misbehave for some seconds."""

    def strike(scene: Scene) -> str:
        seconds = scene.dice.uniform(3, 10)
        with scene.disturbed(mode):
            time.sleep(seconds)
        return f"{seconds:.1f} s"

    return strike


def kill_consumers_while(mode: ProxyMode) -> Strike:
    """Kill the consumers when each has something that is on its way, or stuck."""

    def strike(scene: Scene) -> str:
        with scene.disturbed(mode):
            time.sleep(scene.dice.uniform(1.5, 4))
            scene.kill(*scene.processes("consumer"))
        return ""

    return strike


def own_twice(scene: Scene) -> str:
    """A second process assigns itself a partition, lands it too, and is killed while it does."""
    partition = scene.dice.randrange(int(scene.env["STREAM_CONSUMERS"]))
    seconds = scene.dice.uniform(5, 10)
    context = multiprocessing.get_context("spawn")
    reads = context.Event()
    second = context.Process(target=take, args=(partition, reads))
    second.start()
    try:
        if not reads.wait(60):
            raise RuntimeError("the second consumer does not start")
        time.sleep(seconds)
    finally:
        second.kill()
        second.join()
    return f"partition {partition}, {seconds:.1f} s"


def take(partition: int, reads: Event) -> None:
    """Consume a partition, also if a member of the group has it, until killed."""
    settings, [table, *_] = get_settings(), load_tables().tables
    options = consumer_options(Member(settings, (table,), 0))
    del options["group_instance_id"]
    client = KafkaConsumer(**options)
    taken = [TopicPartition(topic_of(settings, table), partition)]
    client.assign(taken)
    consumer = Consumer(settings, client, report=lambda _: reads.set())
    consumer.on_partitions_assigned(taken)
    while True:
        # Who has just lost begins later, and would lose again and again: now this one
        # is the faster to land, now the other.
        buffer.FLUSH_SECONDS = random.choice((0.3, 2 * FLUSH_SECONDS))
        until = time.monotonic() + 1
        while time.monotonic() < until:
            consumer.poll_once()


KILLS = (
    Fault("killed: a consumer", kill_some(lambda _: 1, "consumer")),
    Fault("killed: all consumers", kill("consumer")),
    Fault("killed: Connect", kill("connect")),
    Fault("killed: Kafka", kill("kafka")),
    Fault("killed: MinIO", kill("minio")),
    Fault("killed: Trino", kill("trino")),
    Fault("killed: Hive metastore", kill("hive")),
    Fault("killed: PostgreSQL", kill("postgres")),
    Fault("killed: Flink's job manager", kill_flink("jobmanager")),
    Fault("killed: Flink's task manager", kill_flink("taskmanager")),
)
FAULTS = (
    *KILLS,
    Fault("killed: two or three at once", kill_some(lambda dice: dice.choice((2, 3)))),
    Fault("killed in a dbt run: Trino", kill("trino"), in_dbt_run=True),
    Fault("killed in a dbt run: Hive metastore", kill("hive"), in_dbt_run=True),
    Fault("killed in a dbt run: PostgreSQL", kill("postgres"), in_dbt_run=True),
    Fault("killed in a dbt run: MinIO", kill("minio"), in_dbt_run=True),
    Fault("frozen: MinIO", freeze("minio", 3, 20)),
    Fault("frozen: Kafka", freeze("kafka", 3, 12)),
    Fault("frozen: a consumer", freeze("consumer", 3, 10)),
    Fault("frozen: a consumer, until it is a zombie", make_zombie),
    Fault("two consumers of one partition", own_twice),
    Fault("killed: all consumers, MinIO refusing", kill_consumers_while(ProxyMode.refuse)),
    Fault("killed: all consumers, MinIO slow", kill_consumers_while(ProxyMode.slow)),
    Fault("killed: all consumers, answers lost", kill_consumers_while(ProxyMode.deaf)),
    Fault("MinIO answers 503", disturb(ProxyMode.refuse)),
    Fault("MinIO answers 507, disk full", disturb(ProxyMode.full)),
    Fault("MinIO is slow", disturb(ProxyMode.slow)),
    Fault("MinIO's answers are lost", disturb(ProxyMode.deaf)),
)
