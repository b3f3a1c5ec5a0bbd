"""The model card: one HTML file with the evidence, to read without any service."""

import base64
import io
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

TEMPLATE = Path(__file__).with_name("card.html.j2")


def render(**content: Any) -> str:  # noqa: ANN401
    """The card's HTML; what is shown comes from data, and is escaped."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(TEMPLATE.read_text()).render(**content)


def png(figure: Figure) -> bytes:
    with io.BytesIO() as buffer:
        figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
        return buffer.getvalue()


def inline(image: bytes) -> str:
    return base64.b64encode(image).decode()
