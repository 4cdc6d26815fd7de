"""Ctrl-C and SIGTERM: the first ends a run after the batch in hand, the second at once."""

from __future__ import annotations

import os
import signal
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


@contextmanager
def ending_gently(stop: Callable[[], bool]) -> Iterator[None]:
    """Calls ``stop`` for the first signal, and ends the process for the second.

    ``stop`` returns whether there is something to be ended gently; otherwise the first signal is an
    ordinary ``KeyboardInterrupt``, and so is what the block ends with after a gentle end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = 0

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal signals
        signals += 1
        if signals > 1:
            # Bars have hidden the cursor; no handler, thread or half-made file may hold the end up.
            os.write(_STDERR, _SECOND + (_SHOW_CURSOR if os.isatty(_STDERR) else b""))
            os._exit(ExitCode.INTERRUPTED)
        if not stop():
            raise KeyboardInterrupt
        # Not through the stream: this may have struck in the middle of a write to it.
        os.write(_STDERR, _FIRST)

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
        if signals:
            raise KeyboardInterrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
