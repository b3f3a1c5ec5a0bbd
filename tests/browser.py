"""A real headless Chromium, for the pages that people open."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from infra.provision import program_folder, provision

# A page that never comes, not one that comes late on a busy machine.
TIMEOUT_MILLISECONDS = 120_000
expect.set_options(timeout=TIMEOUT_MILLISECONDS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The Chromium of infra/versions.toml, installed if it is missing."""
    provision(["chromium"])
    folder = program_folder("chromium")
    # With it come the libraries and fonts that a machine without a desktop lacks.
    env = {
        "LD_LIBRARY_PATH": f"{folder}/al2023/lib",
        "FONTCONFIG_FILE": f"{folder}/fonts/fonts.conf",
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=folder / "chromium", env={**os.environ, **env}
        )
        yield browser
        browser.close()


@contextmanager
def clean_page(browser: Browser, known: str = "$^", scale: float = 1) -> Iterator[Page]:
    """A page that must not go wrong: no error in it, and nothing from another host.

    `known` is a pattern of errors to ignore, which are not ours; `scale` is the number
    of screenshot pixels per pixel of the page.
    """
    problems: list[str] = []

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            problems.append(f"console: {message.text} {message.location['url']}")

    def on_response(response: Response) -> None:
        if response.status >= 400:
            problems.append(f"{response.status}: {response.url}")

    def on_failure(request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # who leaves a page waits for no answer
            problems.append(f"failed: {request.url}")

    page = browser.new_page(viewport={"width": 1600, "height": 900}, device_scale_factor=scale)
    page.set_default_timeout(TIMEOUT_MILLISECONDS)
    page.on("console", on_console)
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("requestfailed", on_failure)
    page.on("response", on_response)
    page.on("request", lambda request: problems.extend(foreign(request.url)))
    yield page
    page.close()
    ours = [problem for problem in problems if not re.search(known, problem)]
    assert not ours, "\n".join(ours)


def foreign(url: str) -> list[str]:
    """What is asked of a host that is not this machine."""
    parts = urlsplit(url)
    here = parts.scheme in ("data", "blob") or parts.hostname == "127.0.0.1"
    return [] if here else [f"another host: {url}"]
