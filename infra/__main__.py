"""`python -m infra`: the commands that both runtimes share."""

import os
import time
from typing import Annotated

import typer
from dotenv import set_key

from infra.command_line import run_command, work_in_project
from infra.env import ensure_env, env_file, load_env, program_env
from infra.errors import LakehouseError
from infra.provision import MAKERS, environment, provision
from infra.services import find_service, trino_healthy

app = typer.Typer(
    help="Settings, programs and SQL of the lakehouse, for both runtimes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def env(
    state: Annotated[
        str | None, typer.Option(help="Another state folder, for a second stack.")
    ] = None,
    port_offset: Annotated[int, typer.Option(help="Added to every default port.")] = 0,
    airflow: Annotated[
        int | None, typer.Option(min=0, max=1, help="Whether `make up` starts Airflow.")
    ] = None,
    mlflow: Annotated[
        int | None, typer.Option(min=0, max=1, help="Whether `make up` starts MLflow.")
    ] = None,
    flink: Annotated[
        int | None, typer.Option(min=0, max=1, help="Whether `make up` starts Flink.")
    ] = None,
) -> None:
    """Write .env (or $ENV_FILE) with generated secrets; keeps what it has."""
    ensure_env(env_file(), state, port_offset)
    for name, choice in (("AIRFLOW", airflow), ("MLFLOW", mlflow), ("FLINK", flink)):
        if choice is not None:
            set_key(env_file(), name, str(choice), quote_mode="never")


@app.command("provision")
def provision_programs(
    names: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
) -> None:
    """Download and build the programs that the cache lacks."""
    provision(names or list(MAKERS))


@app.command(hidden=True)
def prepare(service: str) -> None:
    """In a container: make what a service needs before it starts."""
    find_service(service).prepare(inside())


@app.command(hidden=True)
def setup(service: str) -> None:
    """In a container: make what a running service lacks."""
    find_service(service).setup(inside())


@app.command("await", hidden=True)
def await_services(
    names: Annotated[list[str] | None, typer.Argument(help="Healthy and set up.")] = None,
    healthy: Annotated[list[str] | None, typer.Option(help="Healthy is enough.")] = None,
) -> None:
    """In a container: wait for services, by what they answer."""
    env = inside()
    for name in [*(healthy or []), *(names or [])]:
        service, enough = find_service(name), name not in (names or [])
        typer.echo(f"waiting for {name}")
        while not (service.healthy(env) and (enough or service.is_set_up(env))):
            time.sleep(1)


def inside() -> dict[str, str]:
    """A container's settings; its image says where the programs are."""
    return {**os.environ, **load_env(), **program_env({})}


@app.command()
def sql(
    execute: Annotated[str | None, typer.Option(help="Run this, print CSV.")] = None,
    user: Annotated[str, typer.Option(help="A user named in infra/trino/rules.json.")] = "analyst",
) -> None:
    """A SQL prompt on Trino (its own command line client)."""
    provision(["trino-cli"])
    env = environment()
    server = f"http://{env['TRINO_HOST']}:{env['TRINO_PORT']}"
    if not trino_healthy(env):
        raise LakehouseError(f"Trino does not answer at {server}", "`make up` starts it")
    java, jar = f"{env['JAVA_HOME']}/bin/java", f"{env['TRINO_CLI_HOME']}/trino-cli.jar"
    quiet = ["--enable-native-access=ALL-UNNAMED", "-Dorg.jline.terminal.dumb=true"]
    command = [java, *(quiet if execute else quiet[:1]), "-jar", jar]
    command += ["--server", server, "--catalog", "iceberg", "--user", user]
    if execute:
        command += ["--output-format", "CSV_HEADER", "--execute", execute]
    os.execv(java, command)


if __name__ == "__main__":
    work_in_project()
    run_command(app)
