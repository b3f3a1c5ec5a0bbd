"""`make drill`: break one thing after the other, and see that nothing is lost or repeated.

Prints a table and writes drill.json; exit code 1 if anything was. Runs on a stack of
its own. The same --seed gives the same faults in the same order.
"""

import json
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import chain, islice, repeat
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.env import env_file, load_env
from infra.paths import REPO
from infra.provision import environment
from tests.faults.drill import SECONDS, Drill, Outcome
from tests.faults.faults import FAULTS, Fault
from tests.faults.scene import Scene
from tests.s3_proxy import S3Proxy
from tests.stack import own_stack

# The seed makes a drill repeatable; nothing here is a secret.

SILVER_EVERY = 10

console = Console(highlight=False, width=110)


def main(
    faults: Annotated[int, typer.Option(min=1, envvar="FAULTS", help="How many.")] = 100,
    seed: Annotated[int, typer.Option(help="Which ones, and in which order.")] = 1,
) -> None:
    """Break things while the source changes."""
    began, outcomes = time.monotonic(), list[Outcome]()
    well = False
    try:
        with own_scene(random.Random(seed)) as scene:
            drill = Drill(scene)
            for outcome in drill.run(in_random_order(seed, faults), SILVER_EVERY):
                outcomes.append(outcome)
                report(outcome, f"{len(outcomes)}/{faults}", time.monotonic() - began)
            problems = drill.silver_problems()
            console.print(
                "silver at the end:", escape("; ".join(problems)) or "equal to the source"
            )
        well = not problems and all(outcome.is_well for outcome in outcomes)
    finally:  # report the outcomes so far, also after an error
        console.print(table(outcomes))
        console.print(LEGEND)
        result = {"seed": seed, "well": well, "outcomes": [asdict(one) for one in outcomes]}
        (REPO / "drill.json").write_text(json.dumps(result, indent=2) + "\n")
        console.print("written: drill.json")
    raise typer.Exit(0 if well else 1)


@contextmanager
def own_scene(dice: random.Random) -> Iterator[Scene]:
    """A stack of the drill's own, whose MinIO everybody reaches through a proxy."""
    with closing(S3Proxy()) as proxy:

        def stand_before_minio() -> None:
            env = load_env()
            proxy.minio = f"{env['MINIO_HOST']}:{env['MINIO_PORT']}"
            with env_file().open("a") as file:
                file.write(f"S3_ENDPOINT={proxy.endpoint}\n")

        with own_stack(".lakehouse-drill", prepare=stand_before_minio):
            yield Scene(environment(), dice, proxy)


def in_random_order(seed: int, count: int) -> list[Fault]:
    """Each fault as often as any other."""
    dice = random.Random(seed)
    rounds = (dice.sample(FAULTS, len(FAULTS)) for _ in repeat(None))
    return list(islice(chain.from_iterable(rounds), count))


def report(outcome: Outcome, number: str, seconds: float) -> None:
    """Print one fault's outcome."""
    what = f"{outcome.fault} ({outcome.detail})" if outcome.detail else outcome.fault
    unknown = f" (+{outcome.unknown}?)" if outcome.unknown else ""
    well = (
        "[red]not recovered" if outcome.seconds is None else f"recovered in {outcome.seconds:.1f} s"
    )
    console.print(
        f"[dim]{seconds / 60:5.1f} min[/] {number:>7} {escape(what)}: {well};"
        f" {outcome.committed:,}{unknown} committed, {outcome.landed:,} landed,"
        f" {outcome.lost} lost, {outcome.repeated} repeated",
        style=None if outcome.is_well else "bold red",
        soft_wrap=True,
    )
    for problem in outcome.problems:
        console.print(escape(problem), style="red", soft_wrap=True)


LEGEND = f"""
Killed: by kill -9, at a random moment; supervisor starts it again. Frozen: stopped for seconds.
Seconds to recover: from the fault's first moment (its own duration is in it) until every service
was healthy, Trino showed the newest object, and all had landed that the simulator had committed,
which went on as long as the fault lasted, and for {SECONDS:.0f} s at least.
Lost: rows of the source that the landed changes do not add up to, or changes that were surely
committed and did not land. Repeated: records that landed again, or changes that were sent again."""


def table(outcomes: Sequence[Outcome]) -> Table:
    """What each kind of fault did."""
    shown = Table(title=f"Fault drill: {len(outcomes)} faults", title_justify="left")
    shown.add_column("fault", no_wrap=True)
    for column in ("times", "lost", "repeated", "other", "median s", "greatest s"):
        shown.add_column(column, justify="right", no_wrap=True)
    for fault in FAULTS:
        if mine := [outcome for outcome in outcomes if outcome.fault == fault.name]:
            shown.add_row(fault.name, *figures(mine))
    if outcomes:
        shown.add_section()
        shown.add_row("all", *figures(outcomes))
    return shown


def figures(outcomes: Sequence[Outcome]) -> list[str]:
    seconds = [outcome.seconds for outcome in outcomes if outcome.seconds is not None]
    everything_recovered = len(seconds) == len(outcomes)
    return [
        str(len(outcomes)),
        str(sum(outcome.lost for outcome in outcomes)),
        str(sum(outcome.repeated for outcome in outcomes)),
        str(sum(len(outcome.problems) for outcome in outcomes)),
        f"{statistics.median(seconds):.1f}" if seconds else "",
        f"{max(seconds):.1f}" if everything_recovered else "[red]never",
    ]


if __name__ == "__main__":
    typer.run(main)
