"""A clock for the workflow, where nothing else keeps one: rounds at equal distances, and a page with their history."""

import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from .paths import Paths


def keep_going(paths: Paths, hours: float, address: tuple[str, int]) -> None:
    """Run `watch` every so many hours, and show reports/ at an address, until stopped.

    A round is a process of its own: the memory it needs to train goes with it, and no fault of it ends the schedule.
    """
    program = f"import sys; from {__package__}.cli import main; sys.exit(main())"
    round_ = [sys.executable, "-c", program, "--root", str(paths.root), "watch"]
    paths.reports.mkdir(exist_ok=True)
    pages = partial(SimpleHTTPRequestHandler, directory=str(paths.reports))
    with ThreadingHTTPServer(address, pages) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address[:2]
        print(f"A round every {hours:g} h; their history: http://{host!s}:{port}/workflow.html", flush=True)
        while True:
            begun = time.monotonic()
            subprocess.run(round_, check=False)  # noqa: S603 — it has failed or not: the page says so
            time.sleep(max(0, begun + 3600 * hours - time.monotonic()))
