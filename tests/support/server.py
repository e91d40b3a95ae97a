"""A web server of this process, which may ignore ranges, break off, or answer with an error."""

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What is served, how, and what has been asked for and sent."""

    files: dict[str, bytes]
    url: str = ""
    ranges: bool = True
    kind: str = "application/octet-stream"
    status: int = 200
    breaks_after: int | None = None  # bytes of an answer, after which the connection is cut
    waits_after: int | None = None  # or after which nothing more comes until `go_on`
    go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[str | None] = field(default_factory=list)  # the Range of every request


@contextmanager
def serving(**options):
    """A Site whose `url`, which ends with a slash, answers while in the context."""
    site = Site(**options)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfSite", (Handler,), {"site": site}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield site
    finally:
        site.go_on.set()
        server.shutdown()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        self.site.asked.append(asked)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.send_header("Content-Type", "text/html")  # as most servers say here
            return self.end_headers()
        body = self.site.files.get(self.path[1:])
        if body is None or self.site.status != 200:
            return self.send_error(404 if body is None else self.site.status)
        start = int(re.match(r"bytes=(\d+)-$", asked)[1]) if asked and self.site.ranges else 0
        if start and start >= len(body):
            return self._answer(416, b"", f"bytes */{len(body)}")
        where = f"bytes {start}-{len(body) - 1}/{len(body)}"
        return self._answer(206 if start else 200, body[start:], where if start else None)

    def _answer(self, status, body, where):
        self.send_response(status)
        self.send_header("Content-Type", self.site.kind)
        self.send_header("Content-Length", str(len(body)))
        if where:
            self.send_header("Content-Range", where)
        self.end_headers()
        for stop in (self.site.breaks_after, self.site.waits_after):
            if stop is not None:
                self.wfile.write(body[:stop])
                body = body[stop:]
        if self.site.breaks_after is not None:
            return
        if self.site.waits_after is not None:
            self.wfile.flush()
            self.site.go_on.wait(20)
        self.wfile.write(body)

    def log_message(self, *_):
        pass
