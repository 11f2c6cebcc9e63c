"""Starts the endpoint: one process, or several that share a port."""

import gc
import ipaddress
import logging
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from .. import problem
from ..errors import ProjectError
from ..paths import Paths
from . import json_lines, settings
from .app import create_app
from .connection import BoundedProtocol
from .metrics import MULTIPROCESS_DIR
from .platforms import model_dir
from .platforms import port as port_of_platform

# A platform kills what has not stopped after 10 s; ours is to be gone after 5.
STOP_SECONDS = 2
# Of every answer; a page adds its policy. None is served as another type than it says, or tells others where it was.
HEADERS = [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")]

logger = logging.getLogger(__name__)


def serve(root: Path, host: str, port: int | None = None) -> None:
    """Serve the champion of the project at `root` until stopped; `port` is the platform's, or 8080, unless given.

    The platform may bring another model, PREDICTION_LOG names another log. Raises ProjectError if the model is
    missing, the log cannot be written, or the port is taken.
    """
    paths = Paths(root)
    model, log = model_dir(paths.champion), os.environ.get("PREDICTION_LOG", str(paths.prediction_log))
    # Also where only workers use it: what is wrong is then said once, and before anything listens.
    chosen = settings.from_environment()
    app = create_app(model, log, chosen)
    workers = settings.workers()
    config = configured(app) if workers == 1 else configured(f"{__name__}:worker", factory=True, workers=workers)
    listener = listen(host, port_of_platform() if port is None else port)
    address, port = listener.getsockname()
    logger.info("Serving %s, model %s, on http://%s:%d", problem.TITLE, app.version, host, port)
    if not chosen.api_key and not ipaddress.ip_address(address).is_loopback:
        logger.warning("Anybody who reaches this address may ask: API_KEY is not set")
    # Uvicorn finishes what it has begun, and then raises the signal again: to have been stopped is no failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if workers == 1:
        keep_what_is_here()
        uvicorn.Server(config).run(sockets=[listener])
        return
    with tempfile.TemporaryDirectory() as figures:
        os.environ |= {"MODEL_DIR": str(model), "PREDICTION_LOG": log, MULTIPROCESS_DIR: figures}
        Multiprocess(config, sockets=[listener]).run()


def configured(app: FastAPI | str, **options: Any) -> uvicorn.Config:
    """Return how uvicorn serves an app, and set up what the process says."""
    level = settings.log_level()
    return uvicorn.Config(
        app,
        http=BoundedProtocol,
        log_config=json_lines.configuration(level),
        access_log=False,
        headers=HEADERS,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        **options,
    )


def worker() -> FastAPI:
    """Return the app of one of several processes, which know only their environment."""
    if parent := multiprocessing.parent_process():
        threading.Thread(target=end_after, args=[parent], daemon=True).start()
    app = create_app(Path(os.environ["MODEL_DIR"]), os.environ["PREDICTION_LOG"], settings.from_environment())
    keep_what_is_here()
    return app


def keep_what_is_here() -> None:
    """Tell the garbage collector that what is loaded stays: going through it takes 20 ms, under load twice a second."""
    gc.collect()
    gc.freeze()


def end_after(parent: BaseProcess) -> None:
    """Stop this process once its parent is gone: nobody else would, and the port would stay taken."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket at an address; raise ProjectError if it cannot be had."""
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
    return listener
