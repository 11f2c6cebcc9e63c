"""The endpoint: predictions over HTTP, with a page to try it, a log, and metrics."""

import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any
from uuid import uuid4

import uvicorn
from fastapi import APIRouter, Body, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from .. import problem
from ..errors import ProjectError
from ..paths import Paths
from .log import ContradictingTruthError, Entry, PredictionLog, UnknownPredictionError
from .metrics import CountRequests, Metrics
from .platforms import PlatformRoutes, model_dir
from .platforms import port as port_of_platform
from .predictor import Predictor
from .schema import BatchPrediction, BatchRequest, Feedback, Prediction, PredictionRequest, Refusal

# A batch may be wrong in a thousand places; this many are enough to see why.
SHOWN_PROBLEMS = 20


class Service:
    """Answers requests: predicts, logs, counts, in this order, and only then lets the answer go."""

    def __init__(self, predictor: Predictor, log: PredictionLog, metrics: Metrics) -> None:
        self.predictor = predictor
        self.log = log
        self.metrics = metrics

    def predict(self, requests: Sequence[PredictionRequest]) -> list[Prediction]:
        """Predict and log all requests together; raise sqlite3.Error if they cannot be logged."""
        begun = perf_counter()
        now = datetime.now(UTC)
        rows = [request.inputs() for request in requests]
        probabilities = self.predictor.predict(rows).tolist()
        latency_ms = (perf_counter() - begun) * 1000 / len(rows)
        entries = [
            Entry(
                request_id=uuid4().hex,
                decided_at=request.decided_at or now,
                inputs=row,
                probability=probability,
                positive=probability >= self.predictor.threshold,
                threshold=self.predictor.threshold,
                model_version=self.predictor.version,
                latency_ms=latency_ms,
            )
            for request, row, probability in zip(requests, rows, probabilities, strict=True)
        ]
        self.log.write(entries)
        answers = [in_words(entry) for entry in entries]
        for answer in answers:
            self.metrics.predictions.labels(answer.predicted).inc()
        return answers


def in_words(entry: Entry) -> Prediction:
    """Say what a logged prediction means for the decision."""
    return Prediction(
        request_id=entry.request_id,
        decision=problem.ACT if entry.positive else problem.WAIT,
        predicted=problem.POSITIVE if entry.positive else problem.NEGATIVE,
        probability=entry.probability,
        threshold=entry.threshold,
        model_version=entry.model_version,
    )


def create_app(model_dir: Path, log_path: Path) -> FastAPI:
    """Load the model, open the log, and return the app; raise ProjectError if either cannot be had."""
    predictor = Predictor(model_dir)
    log = PredictionLog(log_path)
    metrics = Metrics()
    metrics.model.info({name: predictor.manifest[name] for name in ("version", "model")})

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        log.close()

    app = FastAPI(
        title=problem.TITLE,
        version=predictor.version,
        lifespan=lifespan,
        responses={422: {"model": Refusal, "description": "A field is wrong"}},
    )
    app.add_middleware(CountRequests, metrics=metrics)
    app.add_middleware(PlatformRoutes)
    app.add_exception_handler(RequestValidationError, refuse)
    app.add_exception_handler(sqlite3.Error, unlogged)
    app.include_router(predictions(Service(predictor, log, metrics)))
    app.include_router(lookups(predictor))
    app.include_router(operations(log, metrics))
    return app


def predictions(service: Service) -> APIRouter:
    """Return the routes that predict, and that learn later what was true."""
    router = APIRouter(tags=["predictions"])
    samples: Any = {
        example["label"]: {"value": {**example["inputs"], "decided_at": example["decided_at"]}}
        for example in service.predictor.examples[:3]
    }

    @router.post("/predict", summary=f"Predict one {problem.SUBJECT}")
    async def predict(request: Annotated[PredictionRequest, Body(openapi_examples=samples)]) -> Prediction:
        return service.predict([request])[0]

    @router.post("/predict/batch", summary=f"Predict up to 1,000 {problem.SUBJECTS}")
    async def predict_batch(batch: BatchRequest) -> BatchPrediction:
        return BatchPrediction(predictions=service.predict(batch.rows))

    @router.post("/feedback", summary="Say what happened in the end")
    async def feedback(said: Feedback) -> dict[str, str]:
        try:
            service.log.write_truth(said.request_id, said.truth)
        except UnknownPredictionError:
            raise HTTPException(404, "No prediction was given under this request_id.") from None
        except ContradictingTruthError:
            raise HTTPException(409, "The opposite truth is already recorded for this request_id, and stays.") from None
        return {"status": "recorded"}

    return router


def lookups(predictor: Predictor) -> APIRouter:
    """Return the routes that a person or a client reads first."""
    router = APIRouter(tags=["about the model"])
    page = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    description = describe(predictor)

    @router.get("/", include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page)

    @router.get("/model", summary="What the model reads and says, in words")
    async def model() -> dict[str, Any]:
        return description

    @router.get("/examples", summary="Real cases from the test period, with what happened")
    async def examples() -> list[dict[str, Any]]:
        return predictor.examples

    return router


def operations(log: PredictionLog, metrics: Metrics) -> APIRouter:
    """Return the routes by which machines watch the endpoint."""
    router = APIRouter(tags=["operations"])

    @router.get("/health", summary="Whether the process answers")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/ready", summary="Whether predictions can be given and logged")
    async def ready() -> dict[str, str]:
        log.check()
        return {"status": "ready"}

    @router.get("/metrics", summary="Figures for Prometheus")
    async def show_metrics() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return router


def describe(predictor: Predictor) -> dict[str, Any]:
    """Return what the page, or any client, needs to ask and to understand the answer."""
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
        "subject": problem.SUBJECT,
        "positive": problem.POSITIVE,
        "negative": problem.NEGATIVE,
        "act": problem.ACT,
        "wait": problem.WAIT,
        "false_negative_cost": problem.FALSE_NEGATIVE_COST,
        "false_positive_cost": problem.FALSE_POSITIVE_COST,
        "cost_unit": problem.COST_UNIT,
        "threshold": predictor.threshold,
        "groups": groups,
        **{name: predictor.manifest[name] for name in ("version", "model", "trained")},
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


async def unlogged(_: Request, error: Exception) -> JSONResponse:
    """Answer 503: what cannot be logged could never be checked, so it is not answered."""
    return JSONResponse({"detail": f"The prediction log cannot be used at the moment: {error}."}, 503)


def serve(root: Path, host: str, port: int | None = None) -> None:
    """Serve the champion of the project at `root` until stopped; `port` is the platform's, or 8080, unless given.

    The platform may bring another model, PREDICTION_LOG names another log. Raises ProjectError if the model is
    missing or the port is taken.
    """
    paths = Paths(root)
    app = create_app(
        model_dir(paths.champion),
        Path(os.environ.get("PREDICTION_LOG", paths.prediction_log)),
    )
    if port is None:
        port = port_of_platform()
    # TCP by name: asyncio turns off Nagle's delay (40 ms an answer) only for sockets that say what they are.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ProjectError(
            f"Cannot listen on {host}:{port} ({error}). Stop what uses it, or choose another port with --port or PORT."
        ) from error
    print(f"Serving {problem.TITLE}, model {app.version}, on http://{host}:{port}", flush=True)
    uvicorn.Server(uvicorn.Config(app, access_log=False)).run(sockets=[listener])
