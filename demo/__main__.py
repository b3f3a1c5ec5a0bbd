"""`make demo`: both paths, batch and stream, by the commands that a user would type.

First the lake: source -> bronze -> silver and gold, and proof that silver is the source. Then
the source changes, the stream follows, and Airflow's pipelines do the rest, up to the features.
Each step is timed; a summary follows the lake and the pipelines.
Natively, Airflow and MLflow are installed and started in the background, for the lake does not
need them.
LOAN_CSV=file loads the real applications; otherwise the generator makes ROWS of them.
With AIRFLOW=0 everything is done by hand. A model is trained last: MODEL=0 leaves it out, and so
does MLFLOW=0. FLINK=0 leaves Flink out.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from demo.background import Background
from demo.steps import (
    MODEL,
    MODEL_ROWS,
    NO_SCHEDULE,
    PAUSE,
    Step,
    can_train,
    lake_steps,
    stream_steps,
)
from demo.summary import ALL, LAKE, NEXT_STEPS, PROOF, SCORED, print_summary
from infra.env import env_file, load_env
from infra.errors import LakehouseError
from infra.paths import REPO
from infra.services import airflow_healthy, choose_services, mlflow_healthy

console = Console(highlight=False)


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
            self.print_news()
            console.print(f"\n[bold cyan]{self.number}/{self.total} {step.what}[/]")
            if step.needs_background:
                self.wait_for_background()
            spent = run(step, self.number)
            self.seconds[step.layer] = self.seconds.get(step.layer, 0.0) + spent

    def print_news(self) -> None:
        for line in self.background.news():
            console.print(f"[dim]in the background: {escape(line)}[/]", soft_wrap=True)

    def wait_for_background(self) -> None:
        """Airflow and MLflow, whose start may have failed: the demo ends then."""
        if not self.background.done():
            console.print("[dim]waiting for what is still being installed or started[/]")
        try:
            self.background.wait()
        except LakehouseError as error:
            console.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
            console.print(
                "  -> correct it, then `make demo` again; `make demo AIRFLOW=0` needs none"
            )
            sys.exit(1)
        self.print_news()

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


def start_lake(background: Background, with_airflow: bool, with_mlflow: bool) -> list[Step]:
    """What comes first; in containers, all services run already."""
    env = load_env()
    if in_containers(env):
        return [NO_SCHEDULE] if with_airflow else []
    later = ["airflow", "mlflow", *([] if env["FLINK"] != "0" else ["flink"])]
    services = " ".join(service.name for service in choose_services(None, later))
    if with_mlflow and not mlflow_healthy(env):
        background.submit("MLflow's environment", "python -m infra provision mlflow")
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


def start_mlflow(background: Background) -> None:
    """Natively, once the lake runs: both start the same PostgreSQL."""
    env = load_env()
    if not in_containers(env) and not mlflow_healthy(env):
        background.submit("MLflow's start", "python -m infra.native up mlflow")


def start_airflow(background: Background) -> None:
    env = load_env()
    if not in_containers(env) and not airflow_healthy(env):
        background.submit("Airflow's start", "python -m infra.native up airflow")
        background.submit("Airflow's schedules, off", PAUSE)


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser("make demo", description=__doc__, formatter_class=style).parse_args()
    env = load_env()
    with_airflow = os.environ.get("AIRFLOW") != "0"
    with_mlflow = os.environ.get("MODEL") != "0" and env["MLFLOW"] != "0"
    if with_mlflow and not can_train():
        console.print(f"[yellow]no model[/]: it needs {MODEL_ROWS:,} rows; ROWS says how many")
        with_mlflow = False
    with Background(Path(env["LAKEHOUSE_STATE"], "logs/airflow-setup.log")) as background:
        first = start_lake(background, with_airflow, with_mlflow)
        lake, stream = lake_steps(), stream_steps(with_airflow, env["FLINK"] != "0")
        model = MODEL if with_mlflow else []
        demo = Demo(len(first) + len(lake) + len(stream) + len(model), background)
        demo.run(first)
        if with_mlflow:
            start_mlflow(background)
        if with_airflow:
            start_airflow(background)
        demo.run(lake)
        print_summary(console, "The lake", [*LAKE, PROOF], demo.seconds)
        demo.ready("lake ready")
        demo.run(stream)
        demo.ready("pipelines ready" if with_airflow else "all of it by hand, ready")
        demo.run(model)
        print_summary(console, "The lakehouse", [*ALL, *([SCORED] if model else [])], demo.seconds)
        if model:
            demo.ready("model ready")
    console.print(NEXT_STEPS.format(**load_env(), env_file=env_file().name))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        console.print("\nstopped; the services still run: `make down` ends them")
        sys.exit(130)
