"""Routes that validate a request once, and do no more."""

import json
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

# A thousand rows, with 2 kB for each.
BODY_BYTES = 2_000_000


class ModelRoute(APIRoute):
    """A route whose function takes the body's model and the request, in this order, and returns the response.

    FastAPI documents it from its signature, as any other. But pydantic reads the body's bytes itself: to parse it
    first, solve dependencies and validate the answer takes FastAPI as long as it takes the model to predict.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request; it raises RequestValidationError, or HTTPException if it is not JSON."""
        assert self.body_field  # noqa: S101 — what this route is for
        model: type[BaseModel] = self.body_field.field_info.annotation  # type: ignore[assignment]

        async def answer(request: Request) -> Response:
            if not is_json(request.headers.get("content-type", "")):
                raise HTTPException(415, "Send JSON, and say so: content-type: application/json.")
            content = await whole_body(request)
            try:
                body = model.model_validate_json(content)
            except ValidationError as error:
                wrong = error.errors(include_url=False, include_context=False, include_input=False)
                raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in wrong]) from None
            refuse_repeated_fields(content, body)
            response: Response = await self.endpoint(body, request)
            return response

        return answer


def is_json(content_type: str) -> bool:
    """Tell whether a body's type is JSON, or one that is written in JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


async def whole_body(request: Request) -> bytes:
    """Return a request's body; raise HTTPException if it is too large, or does not come to its end."""
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES:
                raise HTTPException(413, f"The body is larger than {BODY_BYTES:,} bytes.")
    except ClientDisconnect:
        raise HTTPException(408, "The body did not arrive.") from None
    return bytes(body)


def refuse_repeated_fields(content: bytes, body: BaseModel) -> None:
    """Raise RequestValidationError if a field is given twice, where most parsers would silently take the last."""
    # Each name is followed by a colon. If there are no more than there are fields, it need not be parsed once more.
    if content.count(b":") > fields_set(body):
        json.loads(content, object_pairs_hook=each_once)


def fields_set(body: BaseModel) -> int:
    """Return how many fields a body gives, those of its rows included."""
    rows: Sequence[BaseModel] = vars(body).get("rows", ())
    return len(body.model_fields_set) + sum(len(row.model_fields_set) for row in rows)


def each_once(pairs: list[tuple[str, Any]]) -> None:
    """Raise RequestValidationError for the first name of an object that comes again."""
    seen = set()
    for name, _ in pairs:
        if name in seen:
            raise RequestValidationError([{"loc": ("body", name), "msg": "Field given more than once"}])
        seen.add(name)
