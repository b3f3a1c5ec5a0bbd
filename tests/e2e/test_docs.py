"""`make docs`: the documentation, opened and clicked through in a real browser."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from infra.paths import REPO
from tests.browser import clean_page
from tests.integration.small_lake import SmallLake
from tests.stack import ingest

pytestmark = pytest.mark.slow

SERVICE = "feast_service_loan_approval"
SCREENSHOT = REPO / "dbt_project/assets/lineage.png"
# dbt's page asks for icons by the names that its template has before it is filled in.
KNOWN = r"/%7B%7B%20getIcon"


@pytest.fixture(scope="module")
def lake(lake_to_read: SmallLake) -> SmallLake:
    ingest("source", "generate", "--rows", "0")  # the source's table is there
    return lake_to_read


@pytest.fixture(scope="module")
def site(lake: SmallLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the documentation; while it is there, it is served."""
    folder = tmp_path_factory.mktemp("docs")
    variables = {
        "bronze_catalog": lake.bronze_catalog,
        "bronze_schema": f"{lake.prefix}bronze",
        "schema_prefix": lake.prefix,
    }
    command = [sys.executable, "-m", "infra.docs", "--folder", str(folder)]
    command += ["--vars", yaml.safe_dump(variables)]
    with subprocess.Popen(command, cwd=REPO, text=True, stdout=subprocess.PIPE) as server:
        assert server.stdout
        printed = ""
        while "The documentation is at" not in printed:
            line = server.stdout.readline()
            assert line, printed
            printed += line
        yield folder
        server.terminate()  # not Ctrl-C, which a shell's background jobs do not hear


@pytest.fixture
def address(stack: dict[str, str], site: Path) -> str:
    return f"http://{stack['BIND_HOST']}:{stack['DBT_DOCS_PORT']}"


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    with clean_page(browser, KNOWN, scale=2) as page:
        page.goto(address)
        yield page


def test_the_overview_leads_to_a_model(browser: Browser, address: str) -> None:
    with opened(browser, address) as page:
        expect(page.get_by_role("heading", name="The loan-approval lakehouse")).to_be_visible()
        page.get_by_role("link", name="loan_applications_live").click()
        expect(page.get_by_role("heading", name="loan_applications_live")).to_be_visible()
        description = page.get_by_role("paragraph").filter(has_text="One row per loan application")
        expect(description).to_be_visible()


def test_a_model_is_found_and_shown(browser: Browser, address: str, lake: SmallLake) -> None:
    with opened(browser, address) as page:
        page.get_by_placeholder("Search for models...").fill("loan_features")
        page.locator(".search-result[href$='model.loan_lakehouse.loan_features']").click()
        expect(page.get_by_role("heading", name="loan_features")).to_be_visible()
        description = page.get_by_role("paragraph").filter(has_text="One row per accepted loan")
        expect(description).to_be_visible()
        row = page.get_by_role("row").filter(has_text="loan_amount")
        expect(row).to_contain_text("double")
        expect(row).to_contain_text("Amount applied for.")
        page.get_by_text("Compiled", exact=True).click()
        expect(page.locator("code.source-code")).to_contain_text(
            f'from "iceberg"."{lake.prefix}gold"."historical_features"'
        )


class Graph:
    """The lineage graph that a page shows: it is drawn, so no element tells of it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def ask(self, javascript: str) -> Any:
        return self.page.evaluate(f"document.querySelector('#cy')._cyreg.cy.{javascript}")

    def nodes(self) -> set[str]:
        return set(self.ask("nodes(':visible').map(node => node.id())"))

    def edges(self) -> set[tuple[str, str]]:
        ends = "edges(':visible').map(edge => [edge.source().id(), edge.target().id()])"
        return {(source, target) for source, target in self.ask(ends)}

    def click(self, node: str, button: Any) -> None:
        box = self.page.locator("#cy").bounding_box()
        assert box
        at = self.ask(f"$id('{node}').renderedPosition()")
        self.page.mouse.click(box["x"] + at["x"], box["y"] + at["y"], button=button)


def test_lineage_leads_from_postgresql_to_the_feature_service(
    browser: Browser, address: str, request: pytest.FixtureRequest
) -> None:
    with opened(browser, address) as page:
        page.set_viewport_size({"width": 1600, "height": 400})
        page.get_by_title("View Lineage Graph").click()
        page.get_by_label("--select").fill(f"+exposure:{SERVICE}")
        page.get_by_role("button", name="Update Graph").click()
        page.wait_for_url("**g_i=**")
        graph = Graph(page)
        path = [
            "source.loan_lakehouse.postgresql.loan_applications",
            "source.loan_lakehouse.bronze.loan_applications_changes",
            "model.loan_lakehouse.stg_loan_applications_stream",
            "model.loan_lakehouse.int_loan_applications__landed",
            "model.loan_lakehouse.int_loan_applications__claims",
            "model.loan_lakehouse.int_loan_applications__versions",
            "model.loan_lakehouse.loan_application_history",
            "model.loan_lakehouse.historical_features",
            "model.loan_lakehouse.loan_features",
            f"exposure.loan_lakehouse.{SERVICE}",
        ]
        assert set(path) <= graph.nodes()
        assert set(pairwise(path)) <= graph.edges()
        assert not {node for node in graph.nodes() if node.startswith("unit_test")}

        # Closer together, so that it can be read; and a click shows the edges.
        graph.ask("layout({name: 'dagre', rankDir: 'LR', rankSep: 50, nodeSep: 20}).run() && 0")
        graph.click(path[-1], "left")
        if request.config.getoption("--screenshots"):
            page.locator("#cy").screenshot(path=SCREENSHOT)
        graph.click(path[-1], "right")
        page.get_by_role("button", name="View documentation").click()
        expect(page.get_by_role("heading", name="loan_approval")).to_be_visible()


def test_every_column_in_the_lake_is_described_and_none_that_is_not_there(site: Path) -> None:
    """Lint sees what is written of a model; here is what the model has."""
    manifest, catalog = (
        json.loads((site / f"{name}.json").read_text()) for name in ("manifest", "catalog")
    )
    described = {**manifest["nodes"], **manifest["sources"]}
    # Not the rows that failed a test: their columns are the test's.
    is_ours = re.compile("model|seed|source").match
    tables = {k: v for k, v in {**catalog["nodes"], **catalog["sources"]}.items() if is_ours(k)}
    # Nor the models of scores, which the small lake has none of.
    has_scores = {key for key in described if "scores" in described[key].get("tags", [])}
    assert {key for key in described if is_ours(key)} - has_scores == tables.keys()
    for key, table in tables.items():
        columns = described[key]["columns"]
        missing = [name for name in table["columns"] if not columns.get(name)]
        absent = [name for name in columns if name not in table["columns"]]
        # The sources of the small lake have only the columns that models read.
        assert (key, missing, [] if key.startswith("source") else absent) == (key, [], [])


def test_without_trino_the_error_has_a_hint(tmp_path: Path) -> None:
    """Nothing is made."""
    env_file = tmp_path / ".env"
    env_file.write_text((REPO / ".env.example").read_text().replace("8080", "1"))
    done = subprocess.run(
        [sys.executable, "-m", "infra.docs"],
        cwd=REPO,
        env={"ENV_FILE": str(env_file)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: Trino does not answer at http://127.0.0.1:1\n  -> `make up` starts it\n"
    )
    assert done.stdout == ""
