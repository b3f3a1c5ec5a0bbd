"""The project for DBeaver is whole: what its list names is there, and opens on the connection."""

import json
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest

from infra.dbeaver.__main__ import PROJECT, QUERIES, write_project


@pytest.fixture
def archive(tmp_path: Path) -> ZipFile:
    write_project(tmp_path / "project.dbp", {"TRINO_HOST": "127.0.0.2", "TRINO_PORT": "1234"})
    return ZipFile(tmp_path / "project.dbp")


def named(element: ElementTree.Element, path: str) -> set[str]:
    """The entries that DBeaver looks for; a folder's ends with a slash."""
    found = set()
    for child in element.findall("resource"):
        here = f"{path}{child.get('name')}"
        inside = named(child, f"{here}/")
        found |= {f"{here}/"} | inside if inside else {here}
    return found


def test_its_list_names_what_it_holds(archive: ZipFile) -> None:
    meta = ElementTree.fromstring(archive.read("meta.xml"))  # noqa: S314 (our own)
    [project] = meta.findall("projects/project")
    assert project.get("name") == PROJECT
    assert named(project, f"projects/{PROJECT}/") | {"meta.xml"} == set(archive.namelist())


def test_it_connects_as_analyst_to_the_address_of_the_settings(archive: ZipFile) -> None:
    folder = f"projects/{PROJECT}/.dbeaver"
    sources = json.loads(archive.read(f"{folder}/data-sources.json"))
    [(name, connection)] = sources["connections"].items()
    configuration = connection["configuration"]
    assert configuration["url"] == "jdbc:trino://127.0.0.2:1234/iceberg"
    assert (configuration["host"], configuration["port"]) == ("127.0.0.2", "1234")
    assert configuration["user"] == "analyst"
    metadata = json.loads(archive.read(f"{folder}/project-metadata.json"))
    assert metadata["resources"] == {
        f"Scripts/{file.name}": {"default-datasource": name} for file in QUERIES.glob("*.sql")
    }
