"""The project's language is that of technical manuals: words that it does not use."""

import re
import subprocess

from infra.paths import REPO

UNUSED = re.compile(
    r"\b(anew|mend(s|ed|ing)?|whoever|whichever|whatever|shall|brings?|brought|g[ai]ves? up|is said"
    r"|says who|for ever|nobody|somebody|trouble|well again|the house|by heart|adopt(s|ed)?|doors"
    r"|go(es)? on|beside|begin-anew|even-if-well|lands again)\b",
    re.IGNORECASE,
)
# Files of others, this one, and a test in which an unused word is a user's name.
EXCEPTIONS = (
    "LICENSE",
    "infra/locks/",
    "infra/chromium/package-lock.json",
    "infra/docker/compose/go.sum",
    "infra/helm/go.sum",
    "infra/kubernetes/control_plane/go.sum",
    "infra/minio/go.sum",
    "tests/unit/test_words.py",
    "tests/unit/dbt/test_lint.py",
)


def test_no_file_has_an_unused_word() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPO, text=True, capture_output=True, check=True
    )
    found = []
    for name in listed.stdout.splitlines():
        if name.startswith(EXCEPTIONS) or not (REPO / name).is_file():
            continue
        try:
            lines = (REPO / name).read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        found += [
            f"{name}:{number}: {match[0]}"
            for number, line in enumerate(lines, 1)
            if (match := UNUSED.search(line))
        ]
    assert not found, found
