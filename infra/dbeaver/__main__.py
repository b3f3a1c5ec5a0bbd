"""`make dbeaver`: writes a project for DBeaver to import.

It holds the connection to this lakehouse's Trino, and the sample queries, each
opened on that connection. The format is that of DBeaver's own project export: a
zip of the project's files, and a meta.xml that names each file and folder.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZipFile

from infra.env import ensure_env, env_file, load_env
from infra.paths import INFRA, REPO

PROJECT = "loan-lakehouse"
QUERIES = REPO / "docs/queries"


def project_files(env: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The project's folders, each with its files."""
    template = Template((INFRA / "dbeaver/data-sources.json").read_text())
    sources = template.substitute(env)
    [connection] = json.loads(sources)["connections"]
    scripts = {file.name: file.read_text() for file in sorted(QUERIES.glob("*.sql"))}
    bound = {f"Scripts/{name}": {"default-datasource": connection} for name in scripts}
    metadata = json.dumps({"resources": bound})
    return {
        ".dbeaver": {"data-sources.json": sources, "project-metadata.json": metadata},
        "Scripts": scripts,
    }


def write_project(file: Path, env: Mapping[str, str]) -> None:
    archive = ElementTree.Element("archive", version="1")
    projects = ElementTree.SubElement(archive, "projects")
    project = ElementTree.SubElement(projects, "project", name=PROJECT)
    with ZipFile(file, "w", ZIP_DEFLATED) as target:
        for folder, files in project_files(env).items():
            inside = ElementTree.SubElement(project, "resource", name=folder)
            target.mkdir(f"projects/{PROJECT}/{folder}")
            for name, text in files.items():
                ElementTree.SubElement(inside, "resource", name=name)
                target.writestr(f"projects/{PROJECT}/{folder}/{name}", text)
        target.writestr("meta.xml", ElementTree.tostring(archive, "utf-8", xml_declaration=True))


def main() -> None:
    ensure_env(env_file())
    env = load_env()
    file = Path(env["LAKEHOUSE_STATE"], f"{PROJECT}.dbp")
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_project(file, env)
    print(f"{file}\n  -> DBeaver: File, Import, DBeaver, Project (see docs/queries/README.md)")


if __name__ == "__main__":
    main()
