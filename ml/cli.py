"""The command line: `python -m ml`.

A command imports what it works with when it runs: LightGBM, Optuna, MLflow and Feast take
seconds, which `--help` would pay for.
"""

# ruff: noqa: PLC0415

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ml.errors import MlError
from ml.settings import TrainingSettings, environment, load_settings, settings_file

if TYPE_CHECKING:
    from ml.train import Result

EPILOG = """
[bold]Order[/]: train makes a version, the challenger; if it passes the gates of
ml/settings.yml it is promoted to champion. score has the champion score applications. compare shows
two versions side by side; promote and rollback change the champion by hand. monitor says whether
the champion still fits what it scores.

[bold]Exit codes[/]: 0 done, also if a version stays challenger; 1 the command failed, and the error
says why; 2 a wrong option; 3 monitoring raises an alarm; 130 stopped by Ctrl-C.

[bold]Settings[/] (hosts, ports, passwords) come from the environment, then from .env, or from the
file that ENV_FILE names.
"""

ALARM_CODE = 3
# By which a task of Airflow is skipped.
SKIP_CODE = 99

app = typer.Typer(
    name="ml",
    help="Train a model of loan approval, choose the version that decides, and score with it.",
    epilog=EPILOG,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="Features, rules, gates, trials. Default: what ML_SETTINGS names, or ml/settings.yml.",
        show_default=False,
    ),
]


def begin(file: Path | None) -> tuple[TrainingSettings, dict[str, str]]:
    """The settings of the file, or of the one that the environment names; the environment."""
    env = environment()
    return load_settings(file or settings_file(env)), env


@app.command()
def train(
    file: SettingsFile = None,
    saved: Annotated[
        Path | None,
        typer.Option(
            "--training-set", help="The stored training set of a run: reproduces its model."
        ),
    ] = None,
    manual: Annotated[
        bool, typer.Option("--manual", help="Register without promoting, as PROMOTE=manual does.")
    ] = os.environ.get("PROMOTE") == "manual",
) -> None:
    """Train on what gold holds, judge, register, and promote if it passes the gates.

    Reads the training set as of each decision, judges logistic regression and LightGBM on
    rows that they have not seen, fits LightGBM to all rows, and stores model, figures and
    card in MLflow. The same snapshot and settings give the same model, bit for bit.
    """
    from ml import train as work
    from ml.registry import connected

    settings, env = begin(file)
    with connected(env, settings) as registry:
        trained_on = work.read(env, settings, saved)
        with work.bar(out) as progress:
            candidate = work.fit(trained_on.frame, settings, progress)
        version, gates = work.register(registry, candidate, trained_on, settings)
        promoted, why_not = work.decide(registry, version, gates, manual=manual)
        result = work.Result(str(version.version), promoted, why_not, candidate, gates)
        show(result, settings)
        out.print(f"\nWhere to look\n  {registry.page(version)}", soft_wrap=True)
        out.print(
            f"  {registry.url}/#/experiments  (run {version.run_id}: card.html, plots/)",
            soft_wrap=True,
        )
        out.print("  MLFLOW_ADMIN_USER and _PASSWORD are in .env", soft_wrap=True)


def show(result: "Result", settings: TrainingSettings) -> None:
    """The figures of both models as one table."""
    from ml import fairness
    from ml.metrics import NAMES

    evidence = result.candidate.evidence
    headings = ("AUC", "PR-AUC", "Brier", "ECE", "KS")
    grid = Table(
        "model", "held back", *headings, title=f"{settings.model} version {result.version}"
    )
    for model, figures in evidence.figures.items():
        for how, of in figures.items():
            grid.add_row(model, how, *(f"{of[name].value:.4f}" for name in NAMES))
    out.print(grid)
    auc = evidence.figures[evidence.model][evidence.stricter]["auc"]
    out.print(f"chosen: {evidence.model}, AUC by the stricter folds ({evidence.stricter}) {auc}")
    for name in settings.gates.minimum_selection_ratio:
        groups = [group for group in evidence.groups if group.audited == name]
        rates = ", ".join(f"{group.group} {group.selection_rate:.3f}" for group in groups)
        out.print(
            f"fairness by {name}: approved {rates}; ratio {fairness.selection_ratio(groups):.3f}"
        )
    if gaps := result.candidate.data.gaps:
        out.print(f"[yellow]warning[/]: {gaps}", soft_wrap=True)
    if result.promoted:
        out.print(f"[green]promoted[/]: version {result.version} is champion")
    else:
        out.print(f"[yellow]not promoted[/]: {escape(result.why_not)}", soft_wrap=True)


@app.command()
def score(
    file: SettingsFile = None,
    if_champion: Annotated[
        bool, typer.Option("--if-champion", help="Without a champion do nothing, and exit with 0.")
    ] = False,
) -> None:
    """Score every application whose features the champion has not scored yet.

    The scores land in bronze, each once: run again, or after a kill, it adds nothing twice.
    `dbt build --select tag:scores`, in dbt_project, loads them into silver.loan_scores.
    """
    from ml import score as work
    from ml.registry import connected

    settings, env = begin(file)
    with connected(env, settings) as registry, out.status("scoring") as status:
        if if_champion and not registry.by_alias(registry.champion_alias):
            out.print("there is no champion: nothing is scored")
            return
        rows = 0

        def tick(more: int) -> None:
            nonlocal rows
            rows += more
            status.update(f"scored {rows:,} applications")

        done = work.score(env, settings, registry, tick)
    version = done.run.model_version
    if done.landed:
        out.print(
            f"version {version} scored {done.run.row_count:,} applications: {done.run.run_id}"
        )
    else:
        out.print(f"version {version} has scored all of {done.run.run_id} already: nothing new")


@app.command()
def monitor(
    file: SettingsFile = None,
    only_last: Annotated[
        bool, typer.Option("--last", help="Only repeat the result of the last run.")
    ] = False,
    retrain: Annotated[
        bool,
        typer.Option("--retrain", help="Exit with 0 if a threshold is passed, with 99 if none is."),
    ] = False,
) -> None:
    """Compare the champion's scores and their outcomes with the thresholds of the settings.

    Reads what `dbt build --select tag:scores` has made, and stores a report, one a week, with
    the version's run. Exits with 3 and a sentence if a threshold is passed.
    """
    alarm = raises_alarm(*begin(file), only_last=only_last)
    if retrain:
        sys.exit(0 if alarm else SKIP_CODE)
    if alarm:
        sys.exit(ALARM_CODE)


def raises_alarm(settings: TrainingSettings, env: dict[str, str], *, only_last: bool) -> bool:
    """Print what monitoring finds; whether a threshold is passed."""
    from ml import monitor as work
    from ml.lake import Lake
    from ml.registry import connected

    if env.get("MLFLOW") == "0":
        out.print("MLflow is left out: there is no model to monitor")
        return False
    with connected(env, settings) as registry:
        if not registry.by_alias(registry.champion_alias):
            out.print("there is no champion: nothing is monitored")
            return False
        found = work.last(registry) if only_last else work.monitor(Lake(env), registry, settings)
    if found.report:
        out.print(f"version {found.version}: {found.report} in its run's artifacts")
    if found.alarm:
        err.print(f"[bold red]alarm:[/] version {found.version}: {found.alarm}", soft_wrap=True)
    else:
        out.print(f"version {found.version}: no threshold is passed")
    return bool(found.alarm)


@app.command()
def promote(
    version: Annotated[int, typer.Option(min=1, help="Its number in the registry.")],
    force: Annotated[
        bool, typer.Option("--force", help="Promote it even if it failed a gate.")
    ] = False,
    file: SettingsFile = None,
) -> None:
    """Make a version the champion, by hand."""
    from ml.registry import FAILED, GATES, WHY, connected

    settings, env = begin(file)
    with connected(env, settings) as registry:
        found = registry.version(version)
        if found.tags.get(GATES) == FAILED and not force:
            raise MlError(
                f"version {version} failed a gate: {found.tags.get(WHY)}",
                "`--force` promotes it all the same",
            )
        registry.promote(found)
        out.print(f"version {version} is champion")


@app.command()
def rollback(file: SettingsFile = None) -> None:
    """Restore the previous champion."""
    from ml.registry import connected

    settings, env = begin(file)
    with connected(env, settings) as registry:
        out.print(f"version {registry.rollback().version} is champion again")


@app.command()
def compare(
    one: Annotated[int, typer.Argument(min=1, help="A version.")],
    other: Annotated[int, typer.Argument(min=1, help="Another version.")],
    file: SettingsFile = None,
) -> None:
    """Show two versions side by side: figures, parameters, training sets."""
    from ml.compare import compare as work
    from ml.registry import connected

    settings, env = begin(file)
    with connected(env, settings) as registry:
        out.print(work(registry, one, other))


@app.command("list")
def list_versions(file: SettingsFile = None) -> None:
    """List the versions, newest first, and which of them is champion."""
    from ml.compare import versions
    from ml.registry import connected

    settings, env = begin(file)
    with connected(env, settings) as registry:
        out.print(versions(registry))


def main() -> None:
    """Run the command line; an expected failure is one line, and what to do next."""
    try:
        app()
    except MlError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
