"""An external monitor, which checks whether the daemon still ticks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

SECRET_PATH = "/secret-id"


@contextmanager
def watcher() -> Iterator[tuple[str, list[str]]]:
    """The address to call, and the paths that were called."""
    called: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            called.append(self.path)
            self.send_response(200 if self.path == SECRET_PATH else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Be still."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{SECRET_PATH}", called
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
