"""A page that goes wrong in any way fails the test that opened it."""

import pytest
from playwright.sync_api import Browser

from tests.browser import clean_page

pytestmark = pytest.mark.slow

WRONG = {
    "another host: http://192.0.2.1/": "<img src='http://192.0.2.1/'>",
    "console: look": "<script>console.error('look')</script>",
    "error: look": "<script>throw 'look'</script>",
    "failed: http://127.0.0.1:1/": "<img src='http://127.0.0.1:1/'>",
}


def open_page(browser: Browser, html: str, known: str = "$^") -> None:
    with clean_page(browser, known) as page:
        page.set_content(html)


def test_a_clean_page_passes(browser: Browser) -> None:
    open_page(browser, "<p>All is well.</p>")


@pytest.mark.parametrize("problem", WRONG)
def test_an_error_in_a_page_fails_the_test(browser: Browser, problem: str) -> None:
    with pytest.raises(AssertionError, match=problem):
        open_page(browser, WRONG[problem])


def test_what_is_known_is_passed_over(browser: Browser) -> None:
    open_page(browser, WRONG["console: look"], known="look")
