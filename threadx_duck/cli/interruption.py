"""Ctrl-C and SIGTERM end a command at once, even during a query, and a download after the batch in hand.

Python runs a signal handler between two of its own instructions, so never while DuckDB works. But Python's C handler
writes a byte to a pipe at once; a thread that waits for this byte ends the queries.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from threadx_duck.cli.context import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
STDERR = 2
_FIRST = "note: Stopping after the batch in hand; press Ctrl-C again to stop at once."
_SECOND = "threadx: interrupted at once; what was committed is stored, and the same command goes on from there."

# The seconds after which the thread ends queries again, in case one began before the handler ran.
_AGAIN_SECONDS = 0.1

Stop = Callable[[], bool]


class Voice(Protocol):
    """Says what a signal's handler has to say. It may interrupt a write to the stream, so it must not use that."""

    def say(self, text: str) -> None:
        """Says a line."""

    def leave(self, text: str) -> None:
        """Says the last line of a process that ends at once."""


class PlainVoice:
    """Writes to stderr past its stream; ``is_quiet`` leaves the last line only."""

    def __init__(self, *, is_quiet: bool = False) -> None:
        self._is_quiet = is_quiet

    def say(self, text: str) -> None:
        """Writes a line."""
        if not self._is_quiet:
            self.leave(text)

    def leave(self, text: str) -> None:
        """Writes the last line."""
        os.write(STDERR, f"{text}\n".encode())


class _Interruption:
    """The state of an interruption: what each handler would end gently, and whether the command is ending."""

    def __init__(self) -> None:
        self.ending = threading.Event()
        self.stops: dict[Callable[[int, FrameType | None], None], Stop] = {}

    def end(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """Ends the command."""
        self.ending.set()
        raise KeyboardInterrupt

    def watch(self, reader: int) -> None:
        """Ends the running queries at each signal, until the pipe is closed."""
        from threadx_duck.storage.session import interrupt_all

        while signals := os.read(reader, 64):
            for number in signals:
                stop = self.stops.get(signal.getsignal(number))  # type: ignore[arg-type]
                if stop is None or stop():
                    continue
                interrupt_all()
                while not self.ending.wait(_AGAIN_SECONDS):
                    interrupt_all()


_now = _Interruption()


def is_ending() -> bool:
    """Returns whether a signal interrupted the running command."""
    return _now.ending.is_set()


@contextmanager
def ending_queries() -> Iterator[None]:
    """Lets both signals end the code inside at once, including its queries, with `KeyboardInterrupt`."""
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32" or _now.stops:
        # Windows cannot wake a thread through a pipe. If another command runs this one, it has done all this already.
        yield
        return
    _now.ending.clear()
    _now.stops[_now.end] = lambda: False
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, _now.end) for number in _SIGNALS}
    waker = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_now.watch, args=(reader,), daemon=True, name="interruption")
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(waker)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writer)
        # The thread may still be ending its last query.
        _now.ending.set()
        watcher.join()
        os.close(reader)
        _now.stops.clear()


@contextmanager
def ending_gently(stop: Callable[[], bool], voice: Voice) -> Iterator[None]:
    """Calls ``stop`` for the first signal, and ends the process for the second; ``voice`` says so.

    ``stop`` returns whether there is anything to end gently; if not, the first signal raises an ordinary
    ``KeyboardInterrupt``. After a gentle end the block raises ``KeyboardInterrupt`` as well.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = 0

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            # No handler, thread or half-made file may hold the end up.
            voice.leave(_SECOND)
            os._exit(ExitCode.INTERRUPTED)
        if not stop():
            _now.end()
        voice.say(_FIRST)

    _now.stops[handle] = stop
    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
        if signals:
            raise KeyboardInterrupt
    finally:
        _now.stops.pop(handle, None)
        for number, handler in before.items():
            signal.signal(number, handler)
