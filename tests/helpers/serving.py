"""A server on this machine, with the faults that servers have."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves one content; the first part of a path says how: /whole/name, /cut/name, /silent/name, ..."""

    def __init__(self, content: bytes) -> None:
        self.content, self.requests = content, []
        self.go_on = threading.Event()  # for /half
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                server.answer(self, self.path.split("/")[1])

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True

    def url(self, how: str = "whole") -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{how}/weights-inception-2015-12-05-6726825d.pth"

    def answer(self, to: BaseHTTPRequestHandler, how: str) -> None:
        """Send the content (whole), half of it (cut), the rest of it later (half), another (other), or none."""
        if how == "missing":
            to.send_error(404)
            return
        if how == "silent":
            self.go_on.wait(10)
            return
        to.send_response(200)
        if how != "unsized":
            to.send_header("Content-Length", str(len(self.content)))
        to.end_headers()
        content = self.content[::-1] if how == "other" else self.content
        middle = len(content) // 2
        to.wfile.write(content[:middle])
        to.wfile.flush()
        if how in ("half", "stalled"):
            self.go_on.wait(10)
        if how not in ("cut", "stalled"):
            to.wfile.write(content[middle:])


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[Server]:
    server = Server(content)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.go_on.set()
        server.http.shutdown()
        server.http.server_close()
