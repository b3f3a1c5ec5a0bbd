"""A container waits for services until they are healthy and set up."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from infra import __main__ as command
from infra.env import Env, ensure_env, load_env, program_env
from infra.services import SERVICES, Service, find_service

CLOSED_PORT = "1"


def after(calls: int) -> tuple[Callable[[Env], bool], list[int]]:
    """A question whose answer is yes from the given call on, and the calls so far."""
    asked: list[int] = []

    def answer(_: Env) -> bool:
        asked.append(1)
        return len(asked) >= calls

    return answer, asked


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("infra.__main__.time.sleep", pauses.append)
    monkeypatch.setattr(command, "inside", dict)
    return pauses


def use(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    monkeypatch.setattr(command, "find_service", lambda _: service)


def test_it_waits_for_health_and_then_for_the_set_up(
    monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    healthy, asked = after(3)
    is_set_up, asked_too = after(2)
    use(monkeypatch, replace(find_service("postgres"), healthy=healthy, is_set_up=is_set_up))
    done = CliRunner().invoke(command.app, ["await", "postgres"])
    assert done.exit_code == 0
    assert (len(asked), len(asked_too), len(waits)) == (4, 2, 3)


def test_health_is_enough_for_the_set_up_itself(
    monkeypatch: pytest.MonkeyPatch, waits: list[float]
) -> None:
    healthy, _ = after(2)
    never, asked = after(1000)
    use(monkeypatch, replace(find_service("postgres"), healthy=healthy, is_set_up=never))
    done = CliRunner().invoke(command.app, ["await", "--healthy", "postgres"])
    assert done.exit_code == 0
    assert (len(asked), len(waits)) == (0, 1)


@pytest.mark.parametrize("name", ["postgres", "minio"])
def test_what_does_not_answer_is_not_set_up(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_env(tmp_path / ".env")
    monkeypatch.setenv("ENV_FILE", str(tmp_path / ".env"))
    service = find_service(name)
    assert not service.is_set_up({**load_env(), **program_env({}), service.ports[0]: CLOSED_PORT})


def test_what_others_wait_for_can_be_asked_for_its_set_up() -> None:
    """But Trino, whose workers need none of its schemas."""
    needed = {name for service in SERVICES for name in (*service.needs, *service.setup_needs)}
    with_setup = {service.name for service in SERVICES if service.setup is not Service.setup}
    for name in (needed & with_setup) - {"trino"}:
        assert find_service(name).is_set_up is not Service.is_set_up, name
