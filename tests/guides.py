"""README and the pages of docs/, with their blocks of commands."""

import re
from pathlib import Path
from typing import NamedTuple

from infra.paths import REPO

PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"^<!-- run\b.*-->$", re.MULTILINE)
MARKED = re.compile(r"^<!-- run(?: in (\S+))? -->\n" + BLOCK.pattern, re.MULTILINE | re.DOTALL)


class MarkedBlock(NamedTuple):
    """A block that a test runs, and the folder to run it in, relative to the repository."""

    page: Path
    folder: str
    script: str


def marked_blocks() -> list[MarkedBlock]:
    """The blocks under a line `<!-- run -->` or `<!-- run in FOLDER -->`."""
    return [
        MarkedBlock(page, folder or ".", script)
        for page in PAGES
        for folder, script in MARKED.findall(page.read_text())
    ]


def command_lines(block: str) -> list[str]:
    """The commands of a block, without their comments."""
    found = []
    for line in block.replace("\\\n", " ").splitlines():
        command = re.sub(r"\s#\s.*", "", line).strip()
        found += [part.strip() for part in command.split("; ") if part.strip()]
    return found
