"""What README and docs/ say exists: links, targets of make, commands and their options."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from dotenv import dotenv_values

from infra.env import EXAMPLE
from infra.paths import REPO

PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
# The commands that are typer's: a page may name any of their subcommands and options.
APPS = {"ingestion": "ingestion.cli", "ml": "ml.cli", "infra.airflow": "infra.airflow.__main__"}


def lines(page: Path) -> Iterator[str]:
    """The command lines of a page's blocks, without their comments."""
    for block in BLOCK.findall(page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            if command := re.sub(r"\s#\s.*", "", line).strip():
                yield from (part.strip() for part in command.split("; ") if part.strip())


COMMANDS = sorted({line for page in PAGES for line in lines(page)})


def test_readme_is_one_page() -> None:
    assert len((REPO / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_readme_leads_to_every_page(page: Path) -> None:
    assert f"(docs/{page.name})" in (REPO / "README.md").read_text()


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.split()[0] == "make"])
def test_a_command_of_make_is_a_target_with_settings_that_it_reads(command: str) -> None:
    makefile = (REPO / "Makefile").read_text()
    known = dotenv_values(EXAMPLE).keys()
    words = [word for word in shlex.split(command)[1:] if word not in {"-C", ".."}]
    targets = [word for word in words if "=" not in word]
    assert targets
    assert set(targets) <= set(TARGET.findall(makefile))
    for setting in (word.partition("=")[0] for word in words if "=" in word):
        assert f"$({setting})" in makefile or f"{setting}=" in makefile or setting in known


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python ")])
def test_a_command_of_ours_exists_with_its_options(command: str) -> None:
    words = shlex.split(command)
    module, arguments = words[words.index("-m") + 1], words[words.index("-m") + 2 :]
    if module not in APPS:
        assert importlib.util.find_spec(module), module
        return
    found: Any = typer.main.get_command(importlib.import_module(APPS[module]).app)
    while hasattr(found, "commands"):
        assert arguments, f"{command}: a command is missing"
        assert arguments[0] in found.commands
        found, arguments = found.commands[arguments[0]], arguments[1:]
    options = {name for one in found.params for name in one.opts}
    assert {word for word in arguments if word.startswith("--")} <= options
