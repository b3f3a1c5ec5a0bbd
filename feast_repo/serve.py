"""The feature server of `make features`: Feast's, for those who have the token; it only reads.

Feast's own server knows no token, lets whoever reaches it write and materialise, and takes
itself to be healthy without its store. This one has one of its routes, health and metrics.
Who it is in PostgreSQL, and where its metrics are, comes from infra/native/supervisord.conf.
"""

import hmac
import os
from typing import Any

import psycopg
import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from feast import metrics
from feast.feature_server import get_app
from prometheus_client import CollectorRegistry, make_asgi_app
from prometheus_client.multiprocess import MultiProcessCollector

from feast_repo.store import online_store, open_store

READ = "/get-online-features"
HEALTH = "/health"
METRICS = "/metrics"
# Feast's timer for it ends for ever when PostgreSQL is away once. Without one, a read
# renews what is older than cache_ttl_seconds of feature_store.yaml.
NO_TIMER = 0


class OnlyWithToken:
    """Refuses every request but one for health that does not carry the token."""

    def __init__(self, app: FastAPI, token: str) -> None:
        self.app = app
        self.expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or scope["path"] == HEALTH or self.has_token(scope):
            await self.app(scope, receive, send)
        else:
            refusal = JSONResponse(
                {"detail": "send the token: Authorization: Bearer <FEATURE_SERVER_TOKEN of .env>"},
                status_code=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
            await refusal(scope, receive, send)

    def has_token(self, scope: Any) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self.expected)


def make_app() -> FastAPI:
    metrics._config = metrics.build_metrics_flags()
    store = open_store()
    app: FastAPI = get_app(store, NO_TIMER)
    app.router.routes[:] = [
        route for route in app.router.routes if getattr(route, "path", "") == READ
    ]

    @app.get(HEALTH)
    def health() -> Response:
        """Whether it can serve: the online store answers."""
        try:
            with online_store(store).connection(store.config) as connection:
                connection.execute("select 1")
        except psycopg.Error:
            return Response("the online store does not answer", status_code=503)
        return Response("ok")

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    app.mount(METRICS, make_asgi_app(registry))
    return app


if __name__ == "__main__":
    uvicorn.run(
        OnlyWithToken(make_app(), os.environ["FEATURE_SERVER_TOKEN"]),
        host=os.environ["BIND_HOST"],
        port=int(os.environ["FEATURE_SERVER_PORT"]),
        log_level="warning",
    )
