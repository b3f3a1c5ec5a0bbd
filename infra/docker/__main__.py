"""`python -m infra.docker`: what `python -m infra.native` does with processes, with containers."""

import json
import os
import shutil
import subprocess
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from infra.command_line import run_command
from infra.docker import images
from infra.env import choose_runtime, ensure_env, env_file, load_env
from infra.errors import LakehouseError
from infra.paths import REPO
from infra.services import SERVICES, choose_services, report_all

app = typer.Typer(
    help="Runs the lakehouse in containers, by Docker Compose.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False)
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}


def command(*arguments: str) -> list[str]:
    """Compose, with the settings of the env file and the images of versions.toml."""
    if not shutil.which("docker"):
        raise LakehouseError(
            "there is no `docker` here", "install Docker with Compose, or `make up RUNTIME=native`"
        )
    return ["docker", "compose", *env_files(), *arguments]


def env_files() -> list[str]:
    # The last one counts: an image may be named in the env file, too.
    return [f"--env-file={file}" for file in (images.file_of(load_env()), env_file())]


def compose(*arguments: str, **environment: str) -> None:
    done = subprocess.run(
        command(*arguments), cwd=REPO, env={**os.environ, **environment}, check=False
    )
    if done.returncode:
        raise typer.Exit(done.returncode)  # it has printed why


@app.command()
def up(
    services: Annotated[list[str] | None, typer.Argument(help="Default: all.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="Leave it out; repeatable.")] = None,
    build: Annotated[bool, typer.Option(help="Build our images if the code has changed.")] = True,
) -> None:
    """Start the services that do not run, each once those that it needs are healthy."""
    ensure_env(env_file())
    chosen = choose_services(services, without)
    if choose_runtime("docker"):
        console.print("in containers, from now on (`make up RUNTIME=native` goes without)")
    images.write(load_env())
    if build:
        # One after the other: the builder without buildx does not see what they share.
        compose("--profile=*", "build", COMPOSE_PARALLEL_LIMIT="1")
    start = ["up", "--detach", "--wait", "--no-build"]
    profiles = ",".join(name for name in images.OPTIONAL if name not in (without or []))
    if not services:
        compose(*start, "--remove-orphans", COMPOSE_PROFILES=profiles)
        return
    named = [service for service in chosen if service.name in services]
    compose(*start, *(process for s in named for process in s.programs))
    for service in named:
        if f"{service.name}-setup" in known():
            compose("run", "--rm", "--no-TTY", f"{service.name}-setup")


def known() -> list[str]:
    return output("--profile=*", "config", "--services").split()


@app.command()
def down() -> None:
    """Stop all that `up` started; data stays. Harmless when nothing runs."""
    if is_set_up():
        compose("--profile=*", "down", "--remove-orphans")


@app.command()
def logs(service: Annotated[str | None, typer.Argument(help="Default: all.")] = None) -> None:
    """Follow the log of a service (Ctrl-C ends it)."""
    replace_by("logs", "--follow", "--tail=50", *filter(None, [service]))


@app.command()
def clean(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop the services and delete all their data (the volumes); the env file stays."""
    if not is_set_up():
        return
    if not yes:
        typer.confirm("Delete all data of these containers?", abort=True)
    compose("--profile=*", "down", "--volumes", "--remove-orphans")
    images.file_of(load_env()).unlink()


def is_set_up() -> bool:
    if not env_file().exists():
        return False
    ensure_env(env_file())  # one of an older version lacks what is new
    return images.file_of(load_env()).exists()


@app.command("compose", context_settings=PASS_THROUGH)
def run_compose(context: typer.Context) -> None:
    """Any command of Docker Compose: compose exec tools bash."""
    replace_by(*context.args)


def replace_by(*arguments: str) -> NoReturn:
    """Replace this process by Compose, which then uses the terminal."""
    os.chdir(REPO)
    os.execvp("docker", command("--profile=*", *arguments))


@app.command()
def status() -> None:
    """Show each container, its health, memory and address; exit 1 if one is not healthy."""
    env, healthy_all, found = load_env(), True, False
    where = {s.programs[0]: s.where + s.login for s in SERVICES}
    table = Table("container", "state", "healthy", "memory", box=None)
    table.add_column("where", overflow="fold")
    memory = {one["ID"]: one["MemUsage"].split(" / ")[0] for one in lines("stats", "--no-stream")}
    for one in sorted(lines("--profile=*", "ps", "--all"), key=lambda one: str(one["Name"])):
        if one["Service"].endswith(("-setup", "-prepare")) and one["ExitCode"] == 0:
            continue
        found = True
        healthy = one["State"] == "running" and one["Health"] in ("healthy", "")
        healthy_all &= healthy
        table.add_row(
            one["Name"].removeprefix(f"{one['Project']}-"),
            one["State"],
            "[green]yes" if healthy else "[red]no",
            memory.get(one["ID"], ""),
            where.pop(one["Service"], "").format(**env),
        )
    console.print(table)
    # Its address was printed: a container of it was started.
    started = [service for service in SERVICES if service.programs[0] not in where]
    raise typer.Exit(0 if report_all(started) and found and healthy_all else 1)


def lines(*arguments: str) -> list[dict[str, Any]]:
    """What Compose answers in JSON, an object a line."""
    return [json.loads(line) for line in output(*arguments, "--format=json").splitlines()]


def output(*arguments: str) -> str:
    asked = command(*arguments)
    done = subprocess.run(asked, cwd=REPO, check=False, text=True, stdout=subprocess.PIPE)
    if done.returncode:
        raise typer.Exit(done.returncode)  # it has printed why
    return done.stdout


if __name__ == "__main__":
    run_command(app)
