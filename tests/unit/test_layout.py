"""What the folders may know of each other; who may import whom is in pyproject.toml."""

import re
import subprocess

from infra.paths import REPO

PROJECT_NAME = re.compile(r"loan[- ]lakehouse", re.IGNORECASE)


def test_infra_knows_services_and_not_loans() -> None:
    """Except for the project's name, nothing under infra/ depends on the lakehouse's subject."""
    listed = subprocess.check_output(["git", "ls-files", "-z", "infra"], cwd=REPO, text=True)
    files = [name for name in listed.split("\0") if name and "/locks/" not in name]
    assert len(files) > 50
    texts = {name: (REPO / name).read_text() for name in files if (REPO / name).is_file()}
    known = [name for name, text in texts.items() if "loan" in PROJECT_NAME.sub("", text).lower()]
    assert known == []
