"""A small HTTP/1.1 server on 127.0.0.1: keep-alive, one thread per connection, each answer in one send.

The standard library's handler parses headers as e-mail and answers in several sends; both would distort
measurements made against this server.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import responses
from threading import Event, Lock, Thread, current_thread
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

JSON = "application/json;charset=UTF-8"


@dataclass
class Request:
    """One request as it was received, and the status of its answer.

    ``params`` are the decoded query parameters (the last of repeated ones; ``query`` has all);
    ``sent_at`` is real time in UTC; ``status`` is None until the answer is ready, or if none was sent.
    """

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    client_port: int
    sent_at: datetime
    status: int | None = None
    params: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.params = dict(self.query)

    @property
    def symbol(self) -> str | None:
        """Returns the symbol asked for, from the parameter or the path of an archive file, or None."""
        return self.params.get("symbol") or self._archive_part(5)

    @property
    def interval(self) -> str | None:
        """Returns the interval asked for, from the parameter or the path of an archive file, or None."""
        return self.params.get("interval") or self._archive_part(6)

    def _archive_part(self, number: int) -> str | None:
        parts = self.path.split("/")
        return parts[number] if len(parts) == 8 and parts[1] == "data" else None


@dataclass
class Response:
    """An answer. ``deliver``, if given, sends head and body in its own way.

    It returns False if the connection must then be closed.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    deliver: Callable[[Connection, bytes, bytes], bool] | None = None

    def head(self) -> bytes:
        """Returns the status line and the headers as bytes."""
        headers = {"Content-Type": self.content_type, "Content-Length": str(len(self.body)), **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} {responses.get(self.status, '')}\r\n{lines}\r\n".encode()


class Connection:
    """The connection of one client while it is open."""

    def __init__(self, sock: socket.socket, port: int, closing: Event) -> None:
        self.port, self.closing = port, closing
        self._socket = sock

    def send(self, data: bytes) -> None:
        """Sends all of the data."""
        self._socket.sendall(data)

    def hang_up(self) -> None:
        """Ends the connection and wakes every thread that waits on it."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def serve(self, respond: Callable[[Request], Response | None]) -> None:
        """Answers one request after the other until either side ends the connection."""
        with self._socket, self._socket.makefile("rb") as stream, suppress(OSError):
            while not self.closing.is_set():
                request = self._read(stream)
                if request is None:
                    return
                response = respond(request)
                if response is None:
                    return
                if not self._answer(request, response):
                    return

    def _answer(self, request: Request, response: Response) -> bool:
        """Sends an answer; returns False if the connection must be closed afterwards."""
        body = b"" if request.method == "HEAD" else response.body
        if response.deliver is not None:
            return response.deliver(self, response.head(), body)
        self.send(response.head() + body)
        return request.headers.get("connection", "").lower() != "close"

    def _read(self, stream: BufferedReader) -> Request | None:
        """Returns the next request, or None at the end of the connection."""
        first = stream.readline(65_536).decode("latin-1").split()
        if len(first) != 3:
            return None
        headers = {}
        while line := stream.readline(65_536).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        stream.read(int(headers.get("content-length", 0)))
        path, _, query = first[1].partition("?")
        return Request(
            method=first[0],
            path=unquote(path),
            query=parse_qsl(query, keep_blank_values=True),
            headers=headers,
            client_port=self.port,
            sent_at=datetime.now(UTC),
        )


class HttpServer:
    """Listens on 127.0.0.1 from its creation until :meth:`close`; ``respond`` runs on the connection's thread."""

    def __init__(self, respond: Callable[[Request], Response | None], port: int = 0) -> None:
        self._respond = respond
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.closing = Event()
        self._lock = Lock()
        self._open: dict[Thread, Connection] = {}
        self._accepting = Thread(target=self._accept, name=f"loopback-{self.port}", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Ends every connection, even in the middle of an answer, and waits for the threads."""
        if self.closing.is_set():
            return
        self.closing.set()
        # Closing a listening socket does not wake accept() everywhere; a last connection does.
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            pass
        self._accepting.join()
        self._listener.close()
        with self._lock:
            remaining = list(self._open.items())
        for _, connection in remaining:
            connection.hang_up()
        for thread, _ in remaining:
            thread.join()

    def _accept(self) -> None:
        while True:
            sock, (_, port) = self._listener.accept()
            if self.closing.is_set():
                sock.close()
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock, port, self.closing)
            thread = Thread(target=self._serve, args=(connection,), name=f"loopback-{port}", daemon=True)
            with self._lock:
                self._open[thread] = connection
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            connection.serve(self._respond)
        finally:
            with self._lock:
                self._open.pop(current_thread(), None)
