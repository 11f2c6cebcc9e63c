"""What a person sees in a browser: the page to try the model, and the documentation, with nothing from elsewhere."""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from .platforms import may_frame

# Swagger UI's files, as they are on PyPI: FastAPI itself would have the browser fetch them from a CDN.
SWAGGER_UI = Path(str(files("fastapi_offline"))) / "static"


def pages(title: str) -> APIRouter:
    """Return the routes of the page and of the documentation."""
    router = APIRouter(include_in_schema=False)
    page = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    docs = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=title,
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    documentation = bytes(docs.body).decode()
    page_policy, documentation_policy = policy(page), policy(documentation)

    @router.get("/")
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page, headers=page_policy)

    @router.get("/docs")
    async def show_documentation() -> HTMLResponse:
        return HTMLResponse(documentation, headers=documentation_policy)

    @router.get("/docs/swagger-ui-bundle.js")
    async def show_script() -> FileResponse:
        return FileResponse(SWAGGER_UI / "swagger-ui-bundle.js")

    @router.get("/docs/swagger-ui.css")
    async def show_style() -> FileResponse:
        return FileResponse(SWAGGER_UI / "swagger-ui.css")

    return router


def policy(html: str) -> dict[str, str]:
    """Return the header by which a page may run scripts and styles of this endpoint and, inline, none but its own."""
    sources = {
        "default-src": "'none'",
        "script-src": f"'self' {hashes('script', html)}",
        "style-src": f"'self' {hashes('style', html)}",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": may_frame(),
    }
    return {"Content-Security-Policy": "; ".join(f"{name} {allowed}" for name, allowed in sources.items())}


def hashes(element: str, html: str) -> str:
    """Return what a policy says to let an element's inline texts through: their hashes."""
    texts = re.findall(rf"<{element}(?: type=\"module\")?>(.*?)</{element}>", html, re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
