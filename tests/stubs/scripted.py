"""An HTTP server that answers from a script, and remembers what it was asked.

It speaks on a real socket, so that a reset, a slow or a half-sent reply is the real thing.
"""

import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qsl, urlsplit

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted reply. `reset_after` cuts the connection after that many body bytes."""

    body: bytes = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    delay_seconds: float = 0.0
    reset_after: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What the server was asked."""

    method: str
    path: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]


class Script:
    """Which answers a method and path pattern get, in turn; the last one repeats."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._answers: list[tuple[str, re.Pattern[str], list[Answer]]] = []

    def on(self, path: str, *answers: Answer, method: str = "GET") -> None:
        """Answer requests whose whole path matches `path`; a later call wins over an earlier."""
        self._answers.insert(0, (method, re.compile(path), list(answers)))

    def asked(self, path: str) -> list[Request]:
        """List the requests so far whose whole path matches `path`."""
        return [request for request in self.requests if re.fullmatch(path, request.path)]

    def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        for method, path, answers in self._answers:
            if method == request.method and path.fullmatch(request.path):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return Answer(b'{"error": "not in the script"}', 404)


class _Handler(BaseHTTPRequestHandler):
    script: ClassVar[Script]
    protocol_version = "HTTP/1.1"
    # Headers and body leave together: in two packets, the second waits for a delayed ACK.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._reply()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._reply()

    def do_HEAD(self) -> None:
        self._reply()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""

    def _reply(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        parameters = dict(parse_qsl(parts.query))
        answer = self.script.answer(Request(self.command, parts.path, parameters, headers))
        time.sleep(answer.delay_seconds)
        try:
            self._send(answer)
        except OSError:
            self.close_connection = True

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "Date" not in answer.headers:
            self.send_header("Date", self.date_time_string())
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(answer.body[: answer.reset_after])
        if answer.reset_after is not None:
            self._reset()

    def _reset(self) -> None:
        """Close with a TCP reset instead of a polite end."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


@contextmanager
def serve(script: Script) -> Iterator[str]:
    """Run the server on a free local port while the block lasts; gives its address."""
    handler = type("Handler", (_Handler,), {"script": script})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def json_answers(bodies: Sequence[str]) -> list[Answer]:
    """Make a 200 answer of each JSON text."""
    return [Answer(body.encode()) for body in bodies]
