"""What a platform says by the environment alone: where the endpoint listens, answers and finds its model.

So one image runs, unchanged, on SageMaker, Vertex AI, Azure ML, Cloud Run, Hugging Face Spaces and a plain machine.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ProjectError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

DEFAULT_PORT = 8080
# Cloud Run and most others; Vertex AI; SageMaker where several containers share one host.
PORTS = ("PORT", "AIP_HTTP_PORT", "SAGEMAKER_BIND_TO_PORT")
# Where SageMaker unpacks the model that it was given.
SAGEMAKER_MODEL = Path("/opt/ml/model")


def port() -> int:
    """Return the port on which the platform expects an answer, or 8080; raise ProjectError if it is no number."""
    for name in PORTS:
        if value := os.environ.get(name):
            try:
                return int(value)
            except ValueError:
                raise ProjectError(f"{name} is {value!r}, which is not the number of a port.") from None
    return DEFAULT_PORT


def model_dir(champion: Path) -> Path:
    """Return the folder of the model to serve: MODEL_DIR, else the platform's, else `champion`.

    Raises ProjectError if Azure ML brings a model that is not one of this project's.
    """
    if named := os.environ.get("MODEL_DIR"):
        return Path(named)
    if mounted := os.environ.get("AZUREML_MODEL_DIR"):
        # Azure ML puts the registered folder below one of the model's name and version.
        found = [manifest.parent for manifest in Path(mounted).rglob("manifest.json")]
        if len(found) != 1:
            raise ProjectError(
                f"AZUREML_MODEL_DIR ({mounted}) holds {len(found)} models; register the folder artifacts/champion."
            )
        return found[0]
    if SAGEMAKER_MODEL.is_dir() and any(SAGEMAKER_MODEL.iterdir()):
        return SAGEMAKER_MODEL
    return champion


def routes() -> dict[str, str]:
    """Return the paths that platforms call, each with the endpoint's own path that answers it."""
    called = {"/ping": "/health", "/invocations": "/predict", "/score": "/predict"}
    if health := os.environ.get("AIP_HEALTH_ROUTE"):
        called[health] = "/health"
    if predict := os.environ.get("AIP_PREDICT_ROUTE"):
        # Vertex AI always sends many: {"instances": [...]}.
        called[predict] = "/predict/batch"
    return called


def may_frame() -> str:
    """Return who may show the page in a frame, in the words of a content security policy: Hugging Face, in a Space."""
    return "https://huggingface.co" if "SPACE_ID" in os.environ else "'none'"


class PlatformRoutes:
    """ASGI middleware that answers the paths of platforms as the endpoint's own, and counts them as those."""

    def __init__(self, app: "ASGIApp") -> None:
        self.app = app
        self.routes = routes()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass the request on, to the path that answers it."""
        if scope["type"] == "http" and scope["path"] in self.routes:
            scope = {**scope, "path": self.routes[scope["path"]]}
        await self.app(scope, receive, send)
