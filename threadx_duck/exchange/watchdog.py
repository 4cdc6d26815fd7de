"""Sets one deadline for a whole answer: a thread shuts the connection of a request that is overdue.

A socket's own time limit starts again with every byte, so a request would never end if the host sends its header
byte by byte, or ``100 Continue`` without end. requests and urllib3 have no limit for the whole answer.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import urllib3
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

# The interval at which the connection of an overdue request is shut again until the request ends. A connection that
# was still being made or encrypted at the deadline could not be shut, and the request would never end.
_AGAIN_SECONDS = 0.2

_here = threading.local()


class Call:
    """A request in flight; ``is_overdue`` is True once the watchdog has shut its connection."""

    def __init__(self, deadline: float) -> None:
        self.deadline = deadline
        self.is_overdue = False
        self._connection: Any = None
        self._lock = threading.Lock()

    def holds(self, connection: Any) -> None:
        """Stores the connection that the request uses."""
        with self._lock:
            self._connection = connection

    def shut(self) -> None:
        """Shuts the connection, so that the request stops waiting."""
        with self._lock:
            self.is_overdue = True
            connected = getattr(self._connection, "sock", None)
        if connected is not None:
            # The plain socket's method: that of an encrypted socket drops state that its reader still needs.
            with suppress(OSError, ValueError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)


class Watchdog:
    """Shuts the connections of overdue requests, on one thread that starts with the first request."""

    def __init__(self) -> None:
        self._calls: set[Call] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @contextmanager
    def watching(self, seconds: float) -> Iterator[Call]:
        """Watches the request that this thread makes inside the ``with`` block."""
        call = Call(time.monotonic() + seconds)
        _here.call = call
        with self._changed:
            is_first = not self._calls or call.deadline < min(other.deadline for other in self._calls)
            self._calls.add(call)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()
            elif is_first:
                self._changed.notify()
        try:
            yield call
        finally:
            _here.call = None
            with self._changed:
                self._calls.discard(call)

    def close(self) -> None:
        """Ends the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        with self._changed:
            while not self._is_closed:
                now = time.monotonic()
                overdue = [call for call in self._calls if call.deadline <= now]
                for call in overdue:
                    call.shut()
                next_deadline = min((call.deadline for call in self._calls), default=now + 3_600)
                self._changed.wait(_AGAIN_SECONDS if overdue else next_deadline - now)


class _Watched:
    """A connection that registers itself with this thread's request before it waits for anything."""

    def connect(self) -> None:
        self._tell()
        super().connect()  # type: ignore[misc]

    def request(self, *arguments: Any, **options: Any) -> None:
        self._tell()
        super().request(*arguments, **options)  # type: ignore[misc]

    def _tunnel(self) -> None:
        super()._tunnel()  # type: ignore[misc]
        call: Call | None = getattr(_here, "call", None)
        if call is not None and call.is_overdue:
            # A proxy's header that was cut off looks complete; a shut connection must not be encrypted.
            raise TimeoutError("the proxy took too long")

    def _tell(self) -> None:
        call: Call | None = getattr(_here, "call", None)
        if call is not None:
            call.holds(self)


class _Connection(_Watched, urllib3.connection.HTTPConnection):
    pass


class _SecureConnection(_Watched, urllib3.connection.HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


def watch_connections(manager: PoolManager) -> None:
    """Makes a pool manager, direct or through a proxy, create connections that can be watched."""
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
