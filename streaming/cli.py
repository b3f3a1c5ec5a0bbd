"""The command line: `python -m streaming`."""

# ruff: noqa: PLC0415

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from infra.errors import ExpectedError

EPILOG = """
[bold]Exit codes[/]: 0 done; 1 a job does not run as it must, or the command failed, and the error
says why; 2 a wrong option; 130 stopped by Ctrl-C.

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
    """Show the job, its restarts and checkpoints; exit code 1 if something is wrong."""
    from streaming.settings import job_settings
    from streaming.status import read_status

    jobs, now = read_status(job_settings()), datetime.now(UTC)
    table = Table("job", "state", "failures", "newest checkpoint", "size", "failed", box=None)
    for job in jobs:
        taken = f"{job.checkpoint:%m-%d %H:%M:%S} UTC" if job.checkpoint else "none yet"
        size = decimal(job.checkpoint_bytes)
        failed = str(job.failed_checkpoints)
        table.add_row(job.name, job.state.lower(), str(job.failures), taken, size, failed)
    out.print(table)
    problems = [problem for job in jobs for problem in job.problems(now)]
    if not jobs:
        problems = ["Flink has no job: `make logs SERVICE=flink-jobmanager` says why"]
    for problem in problems:
        err.print(f"[yellow]{escape(problem)}", soft_wrap=True)
    raise typer.Exit(1 if problems else 0)


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
