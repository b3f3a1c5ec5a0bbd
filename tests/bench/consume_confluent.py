"""Consumes a topic by confluent-kafka and prints the seconds. Runs in .venv-bench."""

import json
import sys
import time
from typing import Any

from confluent_kafka import Consumer, TopicPartition


def main(job: dict[str, Any]) -> None:
    began = time.monotonic()
    consumer = Consumer(
        {
            "bootstrap.servers": job["servers"],
            "group.id": "bench-confluent",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    begin = {int(number): offset for number, offset in job["begin"].items()}
    consumer.assign([TopicPartition(job["topic"], n, offset) for n, offset in begin.items()])
    wanted = job["events"]
    while wanted > 0:
        wanted -= len(consumer.consume(2_000, timeout=0.5))
    print(time.monotonic() - began)
    consumer.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
