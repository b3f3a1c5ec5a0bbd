"""`python -m infra.native`: the commands behind the Makefile's targets."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from dotenv import set_key
from rich.console import Console
from rich.markup import escape

from infra.native import stack
from infra.native.env import choose_runtime, ensure_env, env_file, load_env, program_env
from infra.native.errors import LakehouseError
from infra.native.paths import REPO
from infra.native.provision import MAKERS, program_folder, provision
from infra.native.services import SERVICES, Service, trino_healthy

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
    airflow: Annotated[
        int | None, typer.Option(min=0, max=1, help="Whether `make up` starts Airflow.")
    ] = None,
) -> None:
    """Write .env (or $ENV_FILE) with generated secrets; keeps what it has."""
    ensure_env(env_file(), state, port_offset)
    if airflow is not None:
        set_key(env_file(), "AIRFLOW", str(airflow), quote_mode="never")


@app.command("provision")
def provision_programs(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
) -> None:
    """Download and build the programs that the cache lacks."""
    provision(names or list(MAKERS))


@app.command()
def up(
    services: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="Leave it out; repeatable.")] = None,
) -> None:
    """Start the services in the order of their health; harmless when they run."""
    ensure_env(env_file())
    choose_runtime("native")
    stack.up(environment(), services, without)


@app.command(hidden=True)
def prepare(service: str) -> None:
    """In a container: make what a service needs before it starts."""
    one(service).prepare(inside())


@app.command(hidden=True)
def setup(service: str) -> None:
    """In a container: make what a service lacks that runs."""
    one(service).setup(inside())


def inside() -> dict[str, str]:
    """A container's settings; its image says where the programs are."""
    return {**os.environ, **load_env(), **program_env({})}


def one(service: str) -> Service:
    return next(known for known in SERVICES if known.name == service)


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
    """Follow the log of a service (Ctrl-C ends it)."""
    folder = Path(load_env()["LAKEHOUSE_STATE"], "logs")
    files = sorted(folder.glob(f"{service or '*'}.log"))
    if not files:
        raise LakehouseError(
            f"there is no log of {service or 'any service'}",
            "`make up` starts the services, `make status` lists them",
        )
    os.execvp("tail", ["tail", "-n", "50", "-F", *map(str, files)])


@app.command()
def sql(
    execute: Annotated[str | None, typer.Option(help="Run this, print CSV.")] = None,
    user: Annotated[str, typer.Option(help="One of infra/trino/rules.json.")] = "analyst",
) -> None:
    """A SQL prompt on Trino (its own command line client)."""
    provision(["trino-cli"])
    env = environment()
    server = f"http://{env['TRINO_HOST']}:{env['TRINO_PORT']}"
    if not trino_healthy(env):
        raise LakehouseError(f"Trino does not answer at {server}", "`make up` starts it")
    java, jar = f"{env['JAVA_HOME']}/bin/java", f"{env['TRINO_CLI_HOME']}/trino-cli.jar"
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
        user,
    ]
    if execute:
        command += ["--output-format", "CSV_HEADER", "--execute", execute]
    os.execv(java, command)


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


def main() -> None:
    os.chdir(REPO)
    # Loopback never goes through a company's proxy.
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1"]))
    os.environ["no_proxy"] = os.environ["NO_PROXY"]
    try:
        app()
    except LakehouseError as error:
        errors.print(f"[red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except SystemExit as ended:
        if ended.code == 130:  # Ctrl-C: do not wait for downloads, which begin anew anyway
            os._exit(130)
        raise


if __name__ == "__main__":
    main()
