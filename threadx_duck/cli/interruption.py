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

from threadx_duck.cli.context import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
_FIRST = b"note: Stopping after the batch in hand; press Ctrl-C again to stop at once.\n"
_SECOND = b"note: Stopped at once; what was committed is stored. Run the same command to continue.\n"
_SHOW_CURSOR = b"\x1b[?25h"

# The seconds after which the thread ends queries again, in case one began before the handler ran.
_AGAIN_SECONDS = 0.1

Stop = Callable[[], bool]


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
def ending_gently(stop: Callable[[], bool]) -> Iterator[None]:
    """Calls ``stop`` at the first signal, and ends the process at the second.

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
            # Bars have hidden the cursor. No handler, thread or half-made file may delay the end.
            os.write(_STDERR, _SECOND + (_SHOW_CURSOR if os.isatty(_STDERR) else b""))
            os._exit(ExitCode.INTERRUPTED)
        if not stop():
            _now.end()
        # Not through the stream: the signal may have arrived in the middle of a write to it.
        os.write(_STDERR, _FIRST)

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
