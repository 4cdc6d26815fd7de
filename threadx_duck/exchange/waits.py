"""What the requests of a run wait for: which host, why, which try comes next, and until when."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from threadx_duck.candles.times import utc_now

logger = logging.getLogger("threadx_duck.sources")

# A shorter wait is over before a person has read why.
_SHORTEST_SECONDS = 1.0
_NOTED_SECONDS = 5.0


@dataclass(frozen=True)
class Wait:
    """A pause before the next request to a host.

    ``why`` is a sentence. ``until`` is naive UTC. The next request is number ``attempt`` of ``attempts`` for the same
    thing; both are 0 if nothing failed. ``is_routine`` is True if the run merely keeps within its own request budget,
    ``is_answered`` False if the host did not answer.
    """

    host: str
    why: str
    seconds: float
    until: datetime
    attempt: int = 0
    attempts: int = 0
    is_routine: bool = False
    is_answered: bool = True

    @property
    def is_noted(self) -> bool:
        """Whether it is worth a line that stays."""
        return self.seconds >= _NOTED_SECONDS and not self.is_routine

    @property
    def next_try(self) -> str:
        """Which try comes next, such as ``try 2 of 4``; an empty text if nothing failed."""
        return f"try {self.attempt} of {self.attempts}" if self.attempts else ""

    @property
    def end(self) -> str:
        """Returns when the wait ends and which try comes next, such as ``until 12:39:35 UTC, then try 2 of 4``."""
        then = f", then {self.next_try}" if self.next_try else ""
        return f"until {self.until:%H:%M:%S} UTC{then}"

    def __str__(self) -> str:
        """Returns one or two sentences for a person."""
        return f"{self.why} Waiting {self.seconds:.0f} seconds, {self.end}."


def _log(wait: Wait) -> None:
    if wait.is_noted:
        logger.warning("%s", wait)


class Waits:
    """Tells the waits of all threads of a run, once for all threads that wait for the same host.

    ``hear`` is called with each of them, on the thread that waits.
    """

    def __init__(self) -> None:
        self.hear: Callable[[Wait], None] = _log
        self._told: dict[str, datetime] = {}
        self._lock = threading.Lock()

    @contextmanager
    def heard_by(self, hear: Callable[[Wait], None]) -> Iterator[None]:
        """Tells ``hear`` instead while the block runs."""
        before, self.hear = self.hear, hear
        try:
            yield
        finally:
            self.hear = before

    def tell(
        self,
        host: str,
        why: str,
        seconds: float,
        *,
        attempt: int = 0,
        attempts: int = 0,
        is_routine: bool = False,
        is_answered: bool = True,
    ) -> None:
        """Tells that a thread waits from now on, unless it is about what was told last of this host.

        Threads that fail together wait for about the same time, so a wait is news if it ends later by half its length.
        """
        if seconds < _SHORTEST_SECONDS:
            return
        until = utc_now() + timedelta(seconds=seconds)
        with self._lock:
            told = self._told.get(host)
            is_news = told is None or until > told + timedelta(seconds=seconds / 2)
            if is_news:
                self._told[host] = until
        if is_news:
            self.hear(Wait(host, why, seconds, until, attempt, attempts, is_routine, is_answered))
