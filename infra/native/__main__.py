"""`python -m infra.native`: the commands behind the Makefile's targets."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from infra.native import stack
from infra.native.env import ensure_env, env_file, load_env, program_env
from infra.native.errors import LakehouseError
from infra.native.paths import REPO
from infra.native.provision import MAKERS, program_folder, provision

app = typer.Typer(
    help="Runs the lakehouse as plain processes: no Docker, no root needed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
errors = Console(stderr=True)


def environment() -> dict[str, str]:
    return load_env() | program_env({name: program_folder(name) for name in MAKERS})


@app.command()
def env(
    state: Annotated[
        str | None, typer.Option(help="Another state folder, for a second stack.")
    ] = None,
    port_offset: Annotated[int, typer.Option(help="Added to every default port.")] = 0,
) -> None:
    """Write .env (or $ENV_FILE) with generated secrets; keeps what it has."""
    ensure_env(env_file(), state, port_offset)


@app.command("provision")
def provision_programs(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
) -> None:
    """Download and build the programs that the cache lacks."""
    provision(names or list(MAKERS))


@app.command()
def up(services: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None) -> None:
    """Start the services in the order of their health; harmless when they run."""
    ensure_env(env_file())
    provision(list(MAKERS))
    stack.up(environment(), services)


@app.command()
def down() -> None:
    """Stop all that `up` started; data stays."""
    stack.down(environment())


@app.command()
def status() -> None:
    """Show each service, its health, memory and address; exit 1 if one is not healthy."""
    raise typer.Exit(0 if stack.status(environment()) else 1)


@app.command()
def logs(service: Annotated[str | None, typer.Argument(help="Default: all.")] = None) -> None:
    """Follow the log of a service (Ctrl-C ends it)."""
    folder = Path(load_env()["LAKEHOUSE_STATE"], "logs")
    files = sorted(folder.glob(f"{service or '*'}.log"))
    if not files:
        raise LakehouseError(
            f"there is no log of {service or 'any service'}", "`make status` lists the services"
        )
    os.execvp("tail", ["tail", "-n", "50", "-F", *map(str, files)])


@app.command()
def sql(execute: Annotated[str | None, typer.Option(help="Run this, print CSV.")] = None) -> None:
    """A SQL prompt on Trino (its own command line client)."""
    env = environment()
    java, jar = f"{env['JAVA_HOME']}/bin/java", f"{env['TRINO_CLI_HOME']}/trino-cli.jar"
    server = f"http://{env['TRINO_HOST']}:{env['TRINO_PORT']}"
    quiet = ["--enable-native-access=ALL-UNNAMED", "-Dorg.jline.terminal.dumb=true"]
    command = [
        java,
        *(quiet if execute else quiet[:1]),
        "-jar",
        jar,
        "--server",
        server,
        "--catalog",
        "iceberg",
        "--user",
        "analyst",
    ]
    if execute:
        command += ["--output-format", "CSV_HEADER", "--execute", execute]
    os.execv(java, command)


@app.command()
def clean(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop the services and delete all their data (state folder and env file)."""
    state = Path(load_env()["LAKEHOUSE_STATE"])
    if not yes:
        typer.confirm(f"Delete all data in {state} and {env_file().name}?", abort=True)
    stack.down(environment())
    shutil.rmtree(state, ignore_errors=True)
    env_file().unlink(missing_ok=True)


def main() -> int:
    os.chdir(REPO)
    try:
        return app(standalone_mode=False) or 0
    except LakehouseError as error:
        errors.print(f"[red]error:[/] {error}", highlight=False)
        return 1
    except (KeyboardInterrupt, typer.Abort):
        return 130


if __name__ == "__main__":
    sys.exit(main())
