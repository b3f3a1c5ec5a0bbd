"""`make feast-ui`: Feast's UI, opened and clicked through in a real browser."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, expect

from infra.paths import REPO
from tests.browser import clean_page
from tests.integration.served_lake import make_gold, register_ours
from tests.integration.small_lake import small_lake

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(stack: dict[str, str]) -> Iterator[str]:
    with small_lake() as lake:
        make_gold(lake, hundreds=1, number=1)
        register_ours(lake)
    command = ["make", "feast-ui"]
    with subprocess.Popen(command, cwd=REPO, start_new_session=True) as server:
        address = f"http://{stack['BIND_HOST']}:{stack['FEAST_UI_PORT']}"
        while not answers(address):
            assert server.poll() is None
        yield address
        os.killpg(server.pid, signal.SIGTERM)


def answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=10).ok
    except requests.ConnectionError:
        return False


def test_a_feature_is_found_with_golds_description(browser: Browser, address: str) -> None:
    with clean_page(browser) as page:
        page.goto(f"{address}/p/loan_approval/feature-view/credit_history")
        expect(page.get_by_text("credit_score_band").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.goto(f"{address}/p/loan_approval/feature-service")
        expect(page.get_by_text("loan_approval_training").first).to_be_visible()
        page.wait_for_load_state("networkidle")
