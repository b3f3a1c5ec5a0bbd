"""What the folders may know of each other; who may import whom is in pyproject.toml."""

import ast
import re
import subprocess
from collections import defaultdict

from infra.paths import REPO

PACKAGES = ("airflow", "demo", "feast_repo", "infra", "ingestion", "ml")
CAMEL_CASE = re.compile(r"[A-Z][A-Za-z0-9]*[a-z0-9][A-Za-z0-9]*")
PROJECT_NAME = re.compile(r"loan[- ]lakehouse", re.IGNORECASE)


def test_infra_knows_services_and_not_loans() -> None:
    """Except for the project's name, nothing under infra/ depends on the lakehouse's subject."""
    listed = subprocess.check_output(["git", "ls-files", "-z", "infra"], cwd=REPO, text=True)
    files = [name for name in listed.split("\0") if name and "/locks/" not in name]
    assert len(files) > 50
    texts = {name: (REPO / name).read_text() for name in files if (REPO / name).is_file()}
    known = [name for name, text in texts.items() if "loan" in PROJECT_NAME.sub("", text).lower()]
    assert known == []


def test_a_class_or_type_has_a_name_of_its_own() -> None:
    """A name that a reader meets in one folder means the same in all of them."""
    found: dict[str, list[str]] = defaultdict(list)
    for folder in PACKAGES:
        for file in sorted((REPO / folder).rglob("*.py")):
            for name in types_defined(file.read_text()):
                found[name].append(str(file.relative_to(REPO)))
    assert len(found) > 80
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


def types_defined(code: str) -> list[str]:
    """The public classes of a module, at any depth, and its type aliases."""
    tree = ast.parse(code)
    names = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names += [target.id for target in targets if isinstance(target, ast.Name)]
    return [name for name in names if CAMEL_CASE.fullmatch(name)]


def test_types_are_found() -> None:
    code = "class A1(B):\n    class Inner: ...\nRow = dict[str, int]\nLIMIT = 1\nclass _Own: ..."
    assert types_defined(code) == ["A1", "Inner", "Row"]
