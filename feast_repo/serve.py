"""The feature server of `make features`: Feast's, for those who have the token; it only reads.

Feast's own server knows no token, lets everyone who reaches it write and materialize, and takes
itself to be healthy without its store. This one has one of its routes, whose requests it checks
first, health, metrics and the description of itself. Where its metrics are comes from
infra/native/supervisord.conf.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import psycopg_pool
import uvicorn
from fastapi import FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from feast import metrics
from feast.errors import FeastObjectNotFoundException
from feast.feature_server import GetOnlineFeaturesRequest, OnlineFeaturesResponse, get_app
from prometheus_client import CollectorRegistry, make_asgi_app
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy.exc import OperationalError
from starlette.concurrency import run_in_threadpool
from starlette.middleware.authentication import AuthenticationMiddleware

from feast_repo.online_request import OnlineRequest, check
from feast_repo.server import BearerToken, Refusal, sentence_of, unauthorized
from feast_repo.store import online_store_answers, open_store, use_database_user

READ = "/get-online-features"
HEALTH = "/health"
METRICS = "/metrics"
# What FastAPI describes the server by, and Feast's app has, too.
DESCRIPTION = ("/openapi.json", "/docs")
# Feast's refresh timer stops for good when PostgreSQL is down once. Without it, a read
# refreshes a registry that is older than cache_ttl_seconds of feature_store.yaml.
NO_TIMER = 0

Endpoint = Callable[[GetOnlineFeaturesRequest], Awaitable[Response]]


REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "The body is no JSON"},
    401: {"model": Refusal, "description": "The token is missing or wrong"},
    404: {"model": Refusal, "description": "There is no such feature service or feature"},
    422: {"model": Refusal, "description": "The request cannot be answered as it is"},
    503: {"model": Refusal, "description": "The online store does not answer"},
}


def make_app() -> FastAPI:
    metrics._config = metrics.build_metrics_flags()
    store = open_store()
    app: FastAPI = get_app(store, NO_TIMER)
    routes = {getattr(route, "path", ""): route for route in app.router.routes}
    read: Endpoint = routes[READ].endpoint  # type: ignore[attr-defined]
    app.router.routes[:] = [routes[path] for path in DESCRIPTION]

    @app.post(READ, response_model=OnlineFeaturesResponse, responses=REFUSALS)
    async def get_online_features(request: OnlineRequest) -> Response:
        """The features of applications as of now; a key that is unknown is NOT_FOUND."""
        await run_in_threadpool(check, request, store)
        return await read(GetOnlineFeaturesRequest(**request.model_dump()))

    @app.get(HEALTH, response_class=PlainTextResponse, responses={503: REFUSALS[503]})
    def health() -> Response:
        """Whether it can serve: the online store answers."""
        if not online_store_answers(store):
            return unavailable()
        return PlainTextResponse("ok")

    @app.exception_handler(RequestValidationError)
    def malformed(_: object, error: RequestValidationError) -> Response:
        return JSONResponse({"detail": sentence_of(error)}, status_code=422)

    @app.exception_handler(FeastObjectNotFoundException)
    def not_found(_: object, error: Exception) -> Response:
        return JSONResponse({"detail": str(error)}, status_code=404)

    # PostgreSQL as the online store, from its pool, and as the registry.
    @app.exception_handler(psycopg.OperationalError)
    @app.exception_handler(psycopg_pool.PoolTimeout)
    @app.exception_handler(OperationalError)
    def unavailable(*_: object) -> Response:
        return JSONResponse({"detail": "the online store does not answer"}, status_code=503)

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    app.mount(METRICS, make_asgi_app(registry))
    name = "FEATURE_SERVER_TOKEN"
    token = BearerToken(os.environ[name], name, open_paths=(HEALTH,))
    app.add_middleware(AuthenticationMiddleware, backend=token, on_error=unauthorized)
    return app


if __name__ == "__main__":
    use_database_user("FEAST_READER")  # it reads the registry and the online store, no more
    uvicorn.run(
        make_app(),
        host=os.environ["BIND_HOST"],
        port=int(os.environ["FEATURE_SERVER_PORT"]),
        log_level="warning",
    )
