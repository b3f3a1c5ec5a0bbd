"""The drill's short form: each kind of process is killed once, in random order."""

import os
import random
import uuid
from collections.abc import Iterator

import pytest

from infra.provision import environment
from ingestion.settings import get_settings
from ingestion.storage import Bronze
from ingestion.tables import Table, load_tables
from tests.faults.check import Check
from tests.faults.drill import Drill, Outcome
from tests.faults.faults import KILLS
from tests.faults.scene import Scene
from tests.stack import native, objects_administrator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def outcomes(stack: dict[str, str]) -> list[Outcome]:
    dice = random.Random()
    native("up", "flink")
    drill = Drill(Scene(environment(), dice), seconds=3)
    faults = dice.sample(KILLS, len(KILLS))
    return list(drill.run(faults, silver_every=len(faults)))


def test_no_fault_loses_or_repeats_a_change(outcomes: list[Outcome]) -> None:
    assert [outcome for outcome in outcomes if not outcome.is_well] == []
    assert len(outcomes) == len(KILLS)
    assert sum(outcome.landed for outcome in outcomes) > 0


class Copy:
    """What has landed, copied, to be damaged."""

    def __init__(self, table: Table) -> None:
        settings = get_settings()
        self.place = f"_drill_{uuid.uuid4().hex[:8]}/"
        self.check = Check(settings, table, self.place)
        self.objects = objects_administrator()
        self.bucket = os.environ["BRONZE_BUCKET"]
        landed = Bronze(settings).objects("cdc/loans.public.loan_applications/")
        self.keys = [one.key for one in sorted(landed, key=lambda stored: stored.landed_at)]
        for key in self.keys:
            self.copy(key, key)

    def copy(self, key: str, to: str) -> None:
        source = {"Bucket": self.bucket, "Key": key}
        self.objects.copy_object(Bucket=self.bucket, Key=self.place + to, CopySource=source)

    def delete(self, key: str) -> None:
        self.objects.delete_object(Bucket=self.bucket, Key=self.place + key)


@pytest.fixture
def copy(outcomes: list[Outcome]) -> Iterator[Copy]:
    [table] = load_tables().select(["loan_applications"])
    made = Copy(table)
    yield made
    for key in list(Bronze(get_settings()).keys(made.place)):
        made.delete(key.removeprefix(made.place))


def test_the_check_finds_what_is_lost_and_what_is_repeated(copy: Copy) -> None:
    whole = copy.check.tally()
    assert (whole.lost, whole.repeated, whole.broken) == (frozenset(), 0, frozenset())

    copy.delete(copy.keys[-1])
    without_last = copy.check.tally()
    assert without_last.lost
    assert (without_last.repeated, without_last.broken) == (0, frozenset())
    copy.copy(copy.keys[-1], copy.keys[-1])

    *_, older, _ = same_partition(copy)
    copy.delete(older)
    [gap] = copy.check.tally().broken
    assert "the one before it ends at" in gap
    copy.copy(older, older)

    copy.copy(older, next_name(older))
    twice = copy.check.tally()
    assert twice.repeated == twice.records - whole.records > 0
    assert twice.broken
    assert not twice.lost
    copy.delete(next_name(older))

    assert copy.check.tally() == whole


def same_partition(copy: Copy) -> list[str]:
    """The keys of the last object's partition."""
    log = copy.keys[-1].rsplit("+", 1)[0].rsplit("/", 1)[1]
    return [key for key in copy.keys if f"/{log}+" in key]


def next_name(key: str) -> str:
    """The name that an object would have which begins one offset later."""
    log, start = key.removesuffix(".parquet").rsplit("+", 1)
    return f"{log}+{int(start) + 1:020}.parquet"
