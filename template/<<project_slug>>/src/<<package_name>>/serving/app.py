"""The endpoint: predictions over HTTP, with a page to try it, a log, and metrics."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json

from .. import problem
from .guard import Guard, declare_key
from .log import ContradictingTruthError, LogError, UnknownPredictionError, open_log
from .metrics import Metrics
from .models import Models
from .pages import pages
from .platforms import PlatformRoutes
from .routing import ModelRoute
from .schema import (
    BatchPrediction,
    BatchRequest,
    Explanation,
    Failure,
    Feedback,
    Prediction,
    PredictionRequest,
    Recorded,
    Refusal,
)
from .service import Service, in_words
from .settings import DEFAULTS, Settings
from .writer import LogWriter

# A batch may be wrong in a thousand places; this many are enough to see why.
SHOWN_PROBLEMS = 20
# What every route that takes a body may answer.
REFUSALS: dict[int | str, dict[str, Any]] = {
    408: {"model": Failure, "description": "The body does not come to its end"},
    413: {"model": Failure, "description": "The body is too large"},
    415: {"model": Failure, "description": "The body is not JSON"},
    422: {"model": Refusal, "description": "A field is wrong"},
}
# Who asks, by a key of the caller's choice: while a challenger is tried, one caller hears of one model only.
CALLER = "x-caller"


def create_app(model_dir: Path, log: str | Path, settings: Settings = DEFAULTS) -> FastAPI:
    """Load the models, open the log, and return the app; raise ProjectError if either cannot be had."""
    metrics = Metrics()
    models = Models(model_dir, settings.challenger_share, metrics)
    writer = LogWriter(open_log(log, settings.keep), metrics)
    service = Service(models, writer, metrics, serve_unlogged=settings.serve_unlogged)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        chores = [asyncio.create_task(writer.keep_trimmed()), asyncio.create_task(models.keep_current())]
        yield
        for chore in chores:
            chore.cancel()
        await service.close()

    app = FastAPI(
        title=problem.TITLE,
        description=problem.SUMMARY,
        version=models.champion.version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Guard, metrics=metrics, overloaded=service.is_overloaded, api_key=settings.api_key)
    app.add_middleware(PlatformRoutes)
    app.add_exception_handler(RequestValidationError, refuse)
    app.add_exception_handler(LogError, unlogged)
    # Not by include_router: FastAPI would then look for a request's route in each router, and twice.
    for router in (predictions(service), explanations(models), lookups(models), operations(service), pages(app.title)):
        app.router.routes.extend(router.routes)
    if settings.api_key:
        declare_key(app)
    return app


def predictions(service: Service) -> APIRouter:
    """Return the routes that predict, and that learn later what was true."""
    router = APIRouter(
        tags=["predictions"],
        route_class=ModelRoute,
        responses={
            **REFUSALS,
            503: {"model": Failure, "description": "There is too much to do, or the prediction log cannot be used"},
        },
    )
    samples = documented(service.models.champion.examples)
    several: Any = {"Together": {"value": {"rows": [sample["value"] for sample in samples.values()]}}}

    def caller(request: Request) -> str:
        return request.headers.get(CALLER, "") if service.models.challenger else ""

    @router.post("/predict", summary=f"Predict one {problem.SUBJECT}", response_model=Prediction)
    async def predict(
        asked: Annotated[PredictionRequest, Body(openapi_examples=samples)], request: Request
    ) -> Response:
        (entry,) = await service.predict([asked], request.scope["begun"], caller(request))
        return Response(to_json(in_words(entry)), media_type="application/json")

    @router.post("/predict/batch", summary=f"Predict up to 1,000 {problem.SUBJECTS}", response_model=BatchPrediction)
    async def predict_batch(
        batch: Annotated[BatchRequest, Body(openapi_examples=several)], request: Request
    ) -> Response:
        entries = await service.predict(batch.rows, request.scope["begun"], caller(request))
        return Response(to_json({"predictions": [*map(in_words, entries)]}), media_type="application/json")

    @router.post(
        "/feedback",
        summary="Say what happened in the end",
        response_model=Recorded,
        responses={
            404: {"model": Failure, "description": "No such prediction"},
            409: {"model": Failure, "description": "Another truth is recorded"},
        },
    )
    async def feedback(said: Feedback, _: Request) -> Response:
        try:
            await service.tell(said.request_id, said.truth)
        except UnknownPredictionError:
            raise HTTPException(
                404, "The log has no prediction of this request_id: none was given, or it is no longer kept."
            ) from None
        except ContradictingTruthError:
            raise HTTPException(409, "The opposite truth is already recorded for this request_id, and stays.") from None
        return JSONResponse({"status": "recorded"})

    return router


def explanations(models: Models) -> APIRouter:
    """Return the route that gives reasons. What it tries out is no prediction, so it logs and counts none."""
    router = APIRouter(
        tags=["about the model"],
        route_class=ModelRoute,
        responses={**REFUSALS, 503: {"model": Failure, "description": "There is too much to do"}},
    )
    samples = documented(models.champion.examples)

    @router.post(
        "/explain",
        summary=f"Which inputs speak for {problem.POSITIVE!r}, and which against",
        description="Tries each input's typical value in its place, one at a time. Nothing of it is logged.",
        response_model=Explanation,
    )
    async def explain(asked: Annotated[PredictionRequest, Body(openapi_examples=samples)], _: Request) -> Response:
        predictor = models.champion
        probability, effects = predictor.explain(vars(asked))
        contributions = [
            {"field": name, "value": getattr(asked, name), "typical": predictor.typical[name], "effect": effect}
            for name, effect in sorted(effects.items(), key=lambda named: -abs(named[1]))
        ]
        explanation = {"probability": probability, "model_version": predictor.version, "contributions": contributions}
        return Response(to_json(explanation), media_type="application/json")

    return router


def lookups(models: Models) -> APIRouter:
    """Return the routes that a person or a client reads first."""
    router = APIRouter(tags=["about the model"])

    @router.get("/model", summary="What the model reads and says, in words")
    async def model() -> dict[str, Any]:
        return describe(models)

    @router.get("/examples", summary="Real cases from the test period, with what happened")
    async def examples() -> list[dict[str, Any]]:
        return models.champion.examples

    return router


def operations(service: Service) -> APIRouter:
    """Return the routes by which machines watch the endpoint."""
    router = APIRouter(tags=["operations"])

    @router.get("/health", summary="Whether the process answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get(
        "/ready",
        summary="Whether predictions can be given and logged",
        responses={503: {"model": Failure, "description": "The prediction log cannot be used at the moment"}},
    )
    async def ready() -> dict[str, str]:
        try:
            await service.log.check()
        except LogError:
            if not service.serve_unlogged:
                raise
            return {"status": "ready, but not to log"}
        return {"status": "ready"}

    @router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
    async def show_metrics() -> Response:
        return Response(service.metrics.exposed(), media_type=CONTENT_TYPE_LATEST)

    return router


def documented(examples: Sequence[dict[str, Any]]) -> Any:
    """Return the first examples as OpenAPI has them, ready to be sent."""
    return {
        example["label"]: {"value": {**example["inputs"], "decided_at": example["decided_at"]}}
        for example in examples[:3]
    }


def describe(models: Models) -> dict[str, Any]:
    """Return what the page, or any client, needs to ask and to understand the answer."""
    champion, challenger = models.champion, models.challenger
    groups = [
        {
            "name": name,
            "about": about,
            "fields": [asdict(field) for field in problem.FIELDS if field.group == name],
        }
        for name, about in problem.GROUPS.items()
    ]
    return {
        "title": problem.TITLE,
        "summary": problem.SUMMARY,
        "subject": problem.SUBJECT,
        "positive": problem.POSITIVE,
        "negative": problem.NEGATIVE,
        "act": problem.ACT,
        "wait": problem.WAIT,
        "false_negative_cost": problem.FALSE_NEGATIVE_COST,
        "false_positive_cost": problem.FALSE_POSITIVE_COST,
        "cost_unit": problem.COST_UNIT,
        "threshold": champion.threshold,
        "groups": groups,
        **{name: champion.manifest[name] for name in ("version", "model", "trained")},
        "challenger": challenger and {"version": challenger.version, "share": models.share},
    }


async def refuse(_: Request, error: Exception) -> JSONResponse:
    """Answer 422 with the fields that are wrong, and why."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 — registered for this class alone
    problems = [
        {"field": field_name(wrong["loc"]), "problem": wrong["msg"]} for wrong in error.errors()[:SHOWN_PROBLEMS]
    ]
    return JSONResponse({"detail": problems}, status_code=422)


def field_name(location: Sequence[str | int]) -> str:
    """Name a field as its sender would: distance_miles, rows.3.distance_miles, or body for the whole."""
    # Only fields have text as their name: a lone number is where broken JSON broke.
    parts = [str(part) for part in location[1:]] if any(isinstance(p, str) for p in location[1:]) else []
    return ".".join(parts or ["body"])


async def unlogged(_: Request, __: Exception) -> JSONResponse:
    """Answer 503: what cannot be logged could never be checked, so it is not answered."""
    return JSONResponse(
        {"detail": "The prediction log cannot be used at the moment. Try again."}, 503, {"Retry-After": "1"}
    )
