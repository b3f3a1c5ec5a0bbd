"""`python -m infra.airflow`: runs pipelines in Airflow and waits for them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import typer
from airflow_client.client import DagRunState, DagRunType, TaskInstanceResponse, TaskInstanceState
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from infra.airflow.client import ENDED, POLL_INTERVAL_SECONDS, Airflow
from infra.command_line import run_command
from infra.env import load_env
from infra.errors import LakehouseError
from infra.paths import REPO

# Each file is one DAG, which has its name.
PIPELINES = sorted(file.stem for file in (REPO / "airflow/dags").glob("*.py"))
MARKS = {
    "success": "[green]ok[/]",
    "failed": "[red]failed[/]",
    "upstream_failed": "[red]not run[/]",
}
NEVER = datetime.min.replace(tzinfo=UTC)
# An asset's event starts the next pipeline within a second or two.
FOLLOW_SECONDS = 60

app = typer.Typer(
    help="Run the pipelines in Airflow, and see how they end.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)


@app.command()
def run(
    pipeline: Annotated[str, typer.Argument(help=f"One of {', '.join(PIPELINES)}.")],
    then: Annotated[
        str | None, typer.Option(help="Also wait for this pipeline, which the first one starts.")
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Batch: read every row, not only changes.")
    ] = False,
) -> None:
    """Run a pipeline now and wait; exit 1 if it fails. Its schedule stays on or off as it was."""
    airflow = Airflow(load_env())
    with switched_on(airflow, *filter(None, [then, pipeline])):
        run_and_follow(airflow, pipeline, then, full=full)


def run_and_follow(airflow: Airflow, pipeline: str, then: str | None, *, full: bool) -> None:
    started = airflow.trigger(pipeline, **({"mode": "full"} if full else {}))
    ended = wait(airflow, pipeline, started)
    if then:
        wait(airflow, then, follower(airflow, then, ended))


@contextmanager
def switched_on(airflow: Airflow, *pipelines: str) -> Iterator[None]:
    """Unpause pipelines for the block: Airflow does not run a paused one, even on request."""
    off = [pipeline for pipeline in pipelines if airflow.is_paused(pipeline)]
    for pipeline in pipelines:
        airflow.pause(pipeline, paused=False)
    try:
        yield
    finally:
        switch_off(airflow, *off)


def switch_off(airflow: Airflow, *pipelines: str) -> None:
    """Pause pipelines, each when it has no run: pausing would stop one that is under way."""
    for pipeline in pipelines:
        while not airflow.is_paused(pipeline):
            while airflow.has_running(pipeline):
                time.sleep(POLL_INTERVAL_SECONDS)
            airflow.pause(pipeline)
            if airflow.has_running(pipeline):  # it began just then
                airflow.pause(pipeline, paused=False)


@app.command()
def clear(
    pipeline: Annotated[str, typer.Argument(help=f"One of {', '.join(PIPELINES)}.")],
) -> None:
    """Run the failed tasks of the newest failed run again, and wait; exit 1 if it fails again."""
    airflow = Airflow(load_env())
    failed = [one for one in airflow.runs(pipeline) if one.state == DagRunState.FAILED]
    if not failed:
        raise LakehouseError(f"no failed run of {pipeline}", f"see {airflow.url}/dags/{pipeline}")
    with switched_on(airflow, pipeline):
        run = failed[0].dag_run_id
        out.print(f"{airflow.clear(pipeline, run)} tasks of {run} run again")
        wait(airflow, pipeline, run)


@app.command()
def pause() -> None:
    """Switch the schedules of all pipelines off, and wait for what runs."""
    switch_off(Airflow(load_env()), *PIPELINES)


@app.command()
def backfill(
    pipeline: Annotated[str, typer.Argument(help=f"One of {', '.join(PIPELINES)}.")],
    begin: Annotated[str, typer.Option("--from", help="First day, such as 2026-11-01.")],
    end: Annotated[str, typer.Option("--to", help="Last day.")],
) -> None:
    """Run a pipeline again for the intervals of past days; exit 1 if a run fails."""
    airflow = Airflow(load_env())
    with switched_on(airflow, pipeline):
        run_backfill(airflow, begin, end, pipeline)


def run_backfill(airflow: Airflow, begin: str, end: str, pipeline: str) -> None:
    first = datetime.fromisoformat(f"{begin}T00:00:00Z")
    last = datetime.fromisoformat(f"{end}T23:59:59Z")
    number = airflow.start_backfill(pipeline, first, last)
    out.print(f"backfill {number} of {pipeline}, {begin} to {end}")
    while not airflow.backfill(number).completed_at:
        time.sleep(POLL_INTERVAL_SECONDS)
    # It took over the runs that an earlier backfill of these days has left.
    runs = airflow.backfill_runs(pipeline, first, last)
    for one in runs:
        out.print(f"  {one.dag_run_id}: {MARKS.get(one.state, one.state.value)}")
    if any(one.state != DagRunState.SUCCESS for one in runs):
        raise typer.Exit(1)


def follower(airflow: Airflow, dag: str, ended: datetime) -> str:
    """The run of `dag` that assets started since; Airflow may make one of several events."""
    seconds_left = FOLLOW_SECONDS
    while seconds_left > 0:
        runs = airflow.runs(dag)
        for one in runs:
            by_asset = one.run_type == DagRunType.ASSET_TRIGGERED
            if by_asset and one.start_date and one.start_date >= ended:
                return one.dag_run_id
        if all(one.state in ENDED for one in runs):  # else the new run is queued
            seconds_left -= POLL_INTERVAL_SECONDS
        time.sleep(POLL_INTERVAL_SECONDS)
    raise LakehouseError(
        f"{dag} was not started within {FOLLOW_SECONDS} s",
        f"see its page in Airflow: {airflow.url}/dags/{dag}",
    )


def wait(airflow: Airflow, dag: str, run: str) -> datetime:
    """Show the run's tasks as they end; when the last one did.

    Raises LakehouseError if it fails.
    """
    tasks: list[TaskInstanceResponse] = []
    shown: set[tuple[str, int]] = set()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=out, transient=True) as progress:
        bar = progress.add_task(dag, total=None)
        for tasks in airflow.follow(dag, run):
            ended = [task for task in tasks if task.state in MARKS]
            for task in ended:
                name = (task.task_id, task.map_index)
                if name not in shown:
                    shown.add(name)
                    progress.console.print(line(task))
            progress.update(bar, completed=len(ended), total=len(tasks))
    state = airflow.state(dag, run)
    out.print(f"{dag}: {MARKS[state]}")
    if state != DagRunState.SUCCESS:
        print_failure(airflow, dag, run, tasks)
    return max((task.end_date for task in tasks if task.end_date), default=NEVER)


def line(task: TaskInstanceResponse) -> str:
    seconds = f"{task.duration:6.1f} s" if task.duration is not None else " " * 8
    mapped = f" ({task.rendered_map_index})" if task.map_index >= 0 else ""
    mark = MARKS[task.state] if task.state else ""
    return f"  {seconds}  {escape(task.task_id + mapped)}  {mark}"


def print_failure(airflow: Airflow, dag: str, run: str, tasks: list[TaskInstanceResponse]) -> None:
    for task in tasks:
        if task.state == TaskInstanceState.FAILED:
            out.print(f"[bold]{task.task_id}[/], the end of its log:")
            out.print(escape("\n".join(airflow.log(task).splitlines()[-40:])))
    raise LakehouseError(
        f"{dag} failed",
        f"correct it, then `python -m infra.airflow clear {dag}`;"
        f" {airflow.url}/dags/{dag}/runs/{run}",
    )


if __name__ == "__main__":
    run_command(app)
