"""The command line: `python -m streaming`."""

# ruff: noqa: PLC0415

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from infra.errors import ExpectedError
from streaming.errors import StreamingError

if TYPE_CHECKING:
    from streaming.status import JobStatus

# By which a task of Airflow is skipped.
LEFT_OUT_CODE = 99

EPILOG = """
[bold]Exit codes[/]: 0 done; 1 a job does not run as it must, or the command failed, and the error
says why; 2 a wrong option; 99 `status`: Flink is left out (FLINK=0); 130 stopped by Ctrl-C.

[bold]Settings[/] (hosts, ports, passwords) come from the environment, then from .env, or from the
file that ENV_FILE names.
"""

app = typer.Typer(
    name="streaming",
    help="Features from the stream: Flink's job, which writes to the online store.",
    epilog=EPILOG,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


@app.command()
def run() -> None:
    """Run the job in this process's place, from its newest checkpoint: what `make up` starts."""
    from streaming.run import run_job
    from streaming.settings import job_settings

    code = run_job(job_settings(), lambda line: err.print(escape(line), soft_wrap=True))
    raise typer.Exit(code)


@app.command()
def render() -> None:
    """Print the job's SQL as Flink gets it."""
    from streaming.job import read_job
    from streaming.settings import job_settings

    print(read_job(job_settings(), topic_id="<topic id>").sql())


@app.command()
def status() -> None:
    """Show the job, its checkpoints and its lag; exit code 1 if something is wrong."""
    from streaming.settings import job_settings
    from streaming.status import read_status

    settings = job_settings()
    try:
        jobs, now = read_status(settings), datetime.now(UTC)
    except StreamingError:
        if settings.flink:
            raise
        err.print("Flink is left out (FLINK=0): `make up FLINK=1` starts it")
        raise typer.Exit(LEFT_OUT_CODE) from None
    out.print(status_table(jobs, now))
    problems = [problem for job in jobs for problem in job.problems(now)]
    if not jobs:
        problems = ["Flink has no job: `make logs SERVICE=flink-jobmanager` says why"]
    for problem in problems:
        err.print(f"[yellow]{escape(problem)}", soft_wrap=True)
    raise typer.Exit(1 if problems else 0)


def status_table(jobs: Sequence["JobStatus"], now: datetime) -> Table:
    table = Table("job", "state", "failures", "checkpoint", "size", "failed", box=None)
    table.add_column("lag", justify="right")
    for job in jobs:
        lag = job.reading.lag
        table.add_row(
            job.name,
            job.state.lower(),
            str(job.failures),
            f"{(now - job.checkpoint).total_seconds():.0f} s ago" if job.checkpoint else "none yet",
            decimal(job.checkpoint_bytes),
            str(job.failed_checkpoints),
            "unknown" if lag is None else f"{lag:,}",
        )
    return table


@app.command()
def savepoint() -> None:
    """Write a savepoint of the job, which continues; prints its path. You delete it."""
    from streaming.savepoints import write_savepoint
    from streaming.settings import job_settings

    print(write_savepoint(job_settings()))


@app.command()
def stop() -> None:
    """Stop the job with a savepoint; prints its path. The next start continues there."""
    from streaming import savepoints
    from streaming.settings import job_settings
    from streaming.start import START_AGAIN

    print(savepoints.stop(job_settings()))
    err.print(f"the job is stopped: {START_AGAIN}", soft_wrap=True)


@app.command()
def restore(
    path: Annotated[
        str | None, typer.Argument(help="A savepoint's path, or `latest`, the newest one.")
    ] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Read the topic again, without a savepoint.")
    ] = False,
) -> None:
    """Have the job start again from a savepoint or from its beginning, and wait until it has."""
    from streaming.savepoints import newest_savepoint, restart
    from streaming.settings import job_settings
    from streaming.start import Start

    if from_beginning == (path is not None):
        raise typer.BadParameter("give a savepoint's path, `latest` or --from-beginning")
    settings = job_settings()
    origin = newest_savepoint(settings) if path == "latest" else path
    restart(settings, origin)
    print(f"the job runs from {Start(origin)}")


@app.command("probe")
def probe_freshness(
    times: Annotated[int, typer.Option(min=1, help="How many changes.")] = 3,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for one.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure freshness: seconds from a commit in the source until the online store has it."""
    from ingestion.source.console import print_probes
    from streaming.probe import probe
    from streaming.settings import job_settings

    print_probes(probe(job_settings(), times, timeout), "the online store", as_json=as_json)


def main() -> None:
    try:
        app()
    except ExpectedError as error:
        err.print(f"[red]error:[/] {escape(error.message)}", soft_wrap=True)
        if error.hint:
            err.print(f"  -> {escape(error.hint)}", soft_wrap=True)
        sys.exit(1)
