"""The scoring server of `make serve`: features from Feast, decision by the champion."""

import threading
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pandas as pd
import psycopg
import psycopg_pool
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import Counter, Gauge, Histogram, make_asgi_app
from sqlalchemy.exc import OperationalError
from starlette.middleware.authentication import AuthenticationMiddleware

from feast_repo.server import BearerToken, Refusal, sentence_of, unauthorized
from feast_repo.store import online_store_answers
from ml import policy
from ml.decision import REFER, decide
from ml.serving.answers import Decision, Readiness, Reason, ScoreRequest
from ml.serving.champion import Champion, ChampionWatcher
from ml.serving.effects import Effect, effects
from ml.serving.online import OnlineReader

HEALTH, READY, METRICS = "/health", "/ready", "/metrics"
STRONGEST = 3
MAXIMUM_BODY = 16 * 1024
# More would wait for a core, in memory and without an answer.
MAXIMUM_CONCURRENT = 32

SECONDS = Histogram(
    "scoring_seconds",
    "Time of a decision, the reading of its features included",
    buckets=(0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.5, 2),
)
DECISIONS = Counter("scoring_decisions", "Decisions", ["decision", "model_version"])
REFUSED = Counter("scoring_refused", "Requests without a decision", ["status"])
MODEL_VERSION = Gauge("scoring_model_version", "The version that decides; 0 if there is none")

REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "The body is no JSON"},
    401: {"model": Refusal, "description": "The token is missing or wrong"},
    404: {"model": Refusal, "description": "The online store has nothing of the application"},
    413: {"model": Refusal, "description": "The body is too large"},
    422: {"model": Refusal, "description": "The request cannot be answered as it is"},
    429: {"model": Refusal, "description": "Too many requests at once: send it again"},
    503: {"model": Refusal, "description": "There is no champion, or no online store"},
}


def make_app(reader: OnlineReader, watcher: ChampionWatcher, token: BearerToken) -> FastAPI:
    """The server; `watcher` starts and stops with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watcher.start()
        MODEL_VERSION.set_function(lambda: watcher.current.version if watcher.current else 0)
        yield
        watcher.stop()

    app = FastAPI(title="Loan decisions", version="1", lifespan=lifespan)
    concurrent = threading.BoundedSemaphore(MAXIMUM_CONCURRENT)

    def answer(request: ScoreRequest, strongest: int | None) -> Decision:
        if not concurrent.acquire(blocking=False):
            raise HTTPException(429, "too many requests at once", {"Retry-After": "1"})
        try:
            with SECONDS.time():
                return decision(request, reader, watcher.current, watcher.problem, strongest)
        finally:
            concurrent.release()

    @app.post("/v1/score", responses=REFUSALS)
    def score(request: ScoreRequest) -> Decision:
        """Decide on an application, by its features as of now, with the three strongest reasons."""
        return answer(request, STRONGEST)

    @app.post("/v1/explain", responses=REFUSALS)
    def explain(request: ScoreRequest) -> Decision:
        """Decide in the same way, and say what each feature does to the score."""
        return answer(request, None)

    @app.get(HEALTH, response_class=PlainTextResponse)
    def health() -> str:
        """Whether the process answers."""
        return "ok"

    @app.get(READY, responses={503: {"model": Readiness}})
    def ready(response: Response) -> Readiness:
        """Whether it can decide. A registry that does not answer is a problem, and no obstacle."""
        champion, problems = watcher.current, [watcher.problem] if watcher.problem else []
        store_answers = online_store_answers(reader.store)
        if not store_answers:
            problems.append("the online store does not answer")
        is_ready = champion is not None and store_answers
        response.status_code = 200 if is_ready else 503
        return Readiness(
            ready=is_ready,
            model_version=champion.version if champion else None,
            problems=problems,
        )

    app.mount(METRICS, make_asgi_app())
    refuse_in_sentences(app)
    app.middleware("http")(limit_body)
    app.add_middleware(AuthenticationMiddleware, backend=token, on_error=unauthorized)
    return app


def decision(
    request: ScoreRequest,
    reader: OnlineReader,
    champion: Champion | None,
    problem: str,
    strongest: int | None,
) -> Decision:
    """Read the features, decide, and explain. Raises HTTPException with the reason if it can't."""
    if champion is None:
        raise HTTPException(503, " ".join(problem.split()) or "there is no champion")
    found = reader.read(request.application_id, request.requested_amount, champion.settings)
    if found is None:
        raise HTTPException(
            404, f"there are no features of application {request.application_id} online"
        )
    row = decide(pd.DataFrame([found.values]), champion.settings, champion.model).iloc[0]
    by_model = row["policy_rule"] == policy.NONE and row["decision"] != REFER
    ranked = effects(found.values, champion) if by_model else []
    DECISIONS.labels(row["decision"], champion.version).inc()
    return Decision(
        request_id=str(uuid.uuid4()),
        application_id=request.application_id,
        decision=row["decision"],
        score=None if pd.isna(row["score"]) else float(row["score"]),
        policy_rule=row["policy_rule"] or None,
        explanation=row["reasons"] or None,
        reasons=[reason(effect) for effect in ranked[:strongest]],
        model=champion.settings.model,
        model_version=champion.version,
        features_as_of=found.as_of,
    )


def reason(effect: Effect) -> Reason:
    direction = "changes nothing"
    if effect.effect:
        direction = "raises the score" if effect.effect > 0 else "lowers the score"
    return Reason.model_validate({**vars(effect), "direction": direction})


def refuse_in_sentences(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    def malformed(_: Request, error: RequestValidationError) -> Response:
        return refusal(422, sentence_of(error))

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: HTTPException) -> Response:
        return refusal(error.status_code, str(error.detail), error.headers)

    # PostgreSQL as the online store, from its pool, and as Feast's registry.
    @app.exception_handler(psycopg.OperationalError)
    @app.exception_handler(psycopg_pool.PoolTimeout)
    @app.exception_handler(OperationalError)
    def unavailable(*_: object) -> Response:
        return refusal(503, "the online store does not answer")


async def limit_body(request: Request, call_next: Callable[[Request], Any]) -> Response:
    """Refuse a body that is too large, or of unknown length, before it is read."""
    length = request.headers.get("content-length", "")
    if request.method == "POST" and not (length.isdecimal() and int(length) <= MAXIMUM_BODY):
        return refusal(413, f"a body of at most {MAXIMUM_BODY:,} bytes, with Content-Length")
    return await call_next(request)  # type: ignore[no-any-return]


def refusal(status: int, sentence: str, headers: Any = None) -> Response:  # noqa: ANN401
    REFUSED.labels(status).inc()
    return JSONResponse({"detail": sentence}, status_code=status, headers=headers)
