"""What our servers have in common: the token, and refusals in a sentence."""

import hmac
from collections.abc import Container
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, Response


class Refusal(BaseModel):
    """Why a request is refused."""

    detail: str


class BearerToken(AuthenticationBackend):
    """The token that `setting` names in .env; `open_paths` need none."""

    def __init__(self, token: str, setting: str, open_paths: Container[str]) -> None:
        self._expected = f"Bearer {token}".encode()
        self._setting = setting
        self._open_paths = open_paths

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, Any] | None:
        given = conn.headers.get("authorization", "").encode()
        if conn.url.path not in self._open_paths and not hmac.compare_digest(given, self._expected):
            raise AuthenticationError(
                f"send the token: Authorization: Bearer <{self._setting} of .env>"
            )
        return None


def unauthorized(_: HTTPConnection, error: Exception) -> Response:
    headers = {"WWW-Authenticate": "Bearer"}
    return JSONResponse(Refusal(detail=str(error)).model_dump(), status_code=401, headers=headers)


def sentence_of(error: RequestValidationError) -> str:
    """The first field that is not as described, and why."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    return f"{where}: {first['msg']}"[:300]
