"""What README and docs/ say exists: links, targets of make, commands and their options."""

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from dotenv import dotenv_values

from infra.env import EXAMPLE
from infra.paths import REPO
from tests.guides import BLOCK, MARK, PAGES, command_lines, marked_blocks

LINK = re.compile(r"\]\(([^)#\s]+)(?:#([^)]*))?\)")
HEADING = re.compile(r"^#+ (.*)", re.MULTILINE)
TARGET = re.compile(r"^([a-z0-9-]+):", re.MULTILINE)
# The commands that are typer's: a page may name any of their subcommands and options.
APPS = {
    "ingestion": "ingestion.cli",
    "ml": "ml.cli",
    "streaming": "streaming.cli",
    "infra.airflow": "infra.airflow.__main__",
    "infra.kubernetes": "infra.kubernetes.__main__",
}
# Marked blocks run on a lake: these commands only read it.
READ_ONLY = (
    "make status",
    "make stream-status",
    "make reconcile",
    "make sql Q=",
    "python -m ingestion snapshots",
    "python -m ingestion verify",
    "python -m ingestion stream wait",
    "python -m ingestion stream dead-letters",
    "python -m feast_repo.consistency",
    "python -m feast_repo.show",
    "python -m streaming status",
    "python -m streaming render",
    "dbt ls",
    "dbt source freshness",
)

BLOCKS = [block for page in PAGES for block in BLOCK.findall(page.read_text())]
COMMANDS = sorted({line for block in BLOCKS for line in command_lines(block)})


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    headings = HEADING.findall(page.read_text())
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_readme_is_one_page() -> None:
    assert len((REPO / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link, anchor in LINK.findall(page.read_text()):
        if not link.startswith("http"):
            assert (page.parent / link).exists(), link
            assert not anchor or anchor in anchors(page.parent / link), f"{link}#{anchor}"


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_mark_is_followed_by_a_block(page: Path) -> None:
    marked = [block for block in marked_blocks() if block.page == page]
    assert len(marked) == len(MARK.findall(page.read_text()))


def test_marked_blocks_only_read() -> None:
    lines = [line for block in marked_blocks() for line in command_lines(block.script)]
    assert lines
    for line in lines:
        assert line.startswith(READ_ONLY), line
