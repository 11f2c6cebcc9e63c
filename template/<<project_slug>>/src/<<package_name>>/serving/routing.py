"""Routes that validate a request once, and do no more."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError


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
            try:
                body = model.model_validate_json(await request.body())
            except ValidationError as error:
                wrong = error.errors(include_url=False, include_context=False, include_input=False)
                raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in wrong]) from None
            response: Response = await self.endpoint(body, request)
            return response

        return answer


def is_json(content_type: str) -> bool:
    """Tell whether a body's type is JSON, or one that is written in JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
