"""`python -m infra.native`: the services as plain processes, without Docker."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from infra.command_line import run_command, work_in_project
from infra.env import choose_runtime, ensure_env, env_file, load_env
from infra.errors import LakehouseError
from infra.native import stack
from infra.paths import REPO
from infra.provision import environment

app = typer.Typer(
    help="Runs the lakehouse as plain processes: no Docker, no root needed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def up(
    services: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="Leave it out; repeatable.")] = None,
) -> None:
    """Start the services that do not run, each once those that it needs are healthy."""
    ensure_env(env_file())
    choose_runtime("native")
    stack.up(environment(), services, without)


@app.command()
def down() -> None:
    """Stop all that `up` started; data stays. Harmless when nothing runs."""
    if env_file().exists():
        ensure_env(env_file())  # one of an older version lacks what is new
        stack.down(environment())


@app.command()
def status() -> None:
    """Show each service, its health, memory and address; exit 1 if one is not healthy."""
    raise typer.Exit(0 if stack.status(environment()) else 1)


@app.command()
def logs(service: Annotated[str | None, typer.Argument(help="Default: all.")] = None) -> None:
    """Follow the logs of a service, or of one of its parts (Ctrl-C ends it)."""
    folder = Path(load_env()["LAKEHOUSE_STATE"], "logs")
    names = (service, f"{service}-*") if service else ("*",)
    files = sorted(file for name in names for file in folder.glob(f"{name}.log"))
    if not files:
        raise LakehouseError(
            f"there is no log of {service or 'any service'}",
            "`make up` starts the services, `make status` lists them",
        )
    os.execvp("tail", ["tail", "-n", "50", "-F", *map(str, files)])


@app.command()
def clean(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop the services and delete all their data (state folder and env file)."""
    if not env_file().exists():
        return
    state = Path(load_env()["LAKEHOUSE_STATE"])
    if REPO.is_relative_to(state):
        raise LakehouseError(f"LAKEHOUSE_STATE is {state}", "give it a folder of its own")
    if (state / "docker.env").exists():  # their passwords are in the env file
        raise LakehouseError("there are containers' volumes, too", "`make clean RUNTIME=docker`")
    if not yes:
        typer.confirm(f"Delete all data in {state} and {env_file().name}?", abort=True)
    stack.down(environment())
    shutil.rmtree(state)
    env_file().unlink(missing_ok=True)


if __name__ == "__main__":
    work_in_project()
    run_command(app)
