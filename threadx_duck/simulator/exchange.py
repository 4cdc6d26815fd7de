"""The loopback exchange: a server that answers like the exchange, by its own clock, with scripted faults."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from math import ceil
from typing import TYPE_CHECKING, Any

from threadx_duck.errors import UsageError
from threadx_duck.simulator import listing
from threadx_duck.simulator.archive import Archive
from threadx_duck.simulator.clock import Clock
from threadx_duck.simulator.faults import (
    Fault,
    Faults,
    Kind,
    banned,
    date_offset,
    garble,
    status_response,
    too_much_weight,
)
from threadx_duck.simulator.limits import Charge, Limits
from threadx_duck.simulator.rest import KLINES, WEIGHTS, RestApi
from threadx_duck.simulator.wire import HttpServer, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from threadx_duck.simulator.market import Market


class RequestLog(list[Request]):
    """The requests received, oldest first. Each is appended before it is answered."""

    def of(self, *, path: str | None = None, symbol: str | None = None, status: int | None = None) -> list[Request]:
        """Returns the requests whose path starts with ``path``, for a symbol, with a status; None matches any."""
        return [
            request
            for request in self
            if (path is None or request.path.startswith(path))
            and (symbol is None or request.symbol == symbol)
            and (status is None or request.status == status)
        ]

    @property
    def klines(self) -> list[Request]:
        """Returns the requests for candles."""
        return self.of(path=KLINES)


class LoopbackExchange:
    """Serves a market over HTTP on 127.0.0.1 inside a ``with`` block.

    ``now`` is the time of its clock at the start, by default the end of the market's last candle;
    ``speed`` is how fast the clock runs (0 frozen, 1 real time). The server waits ``latency`` real seconds
    before each answer; ``date_offset`` shifts the Date header. You may set both while it serves.
    ``weight_limit`` is weight per minute, ``raw_limit`` requests per five minutes; more than ``ban_after``
    refusals in a minute start a ban of ``ban_seconds``. ``requests`` records everything received.
    ``archive`` is the bulk archive; the same server serves its files under ``/data`` and its listings at ``/``.
    """

    def __init__(
        self,
        market: Market,
        *,
        now: datetime | None = None,
        speed: float = 0.0,
        latency: float = 0.0,
        weight_limit: int = 6_000,
        raw_limit: int = 300_000,
        ban_after: int = 20,
        ban_seconds: float = 120.0,
        port: int = 0,
        daily_published_after: timedelta = timedelta(hours=3),
        monthly_published_day: int = 3,
    ) -> None:
        self.market = market
        self.latency = latency
        self.date_offset = timedelta()
        self.requests = RequestLog()
        self._clock = Clock(now or _end_of(market), speed)
        self._limits = Limits(weight_limit, raw_limit, ban_after=ban_after, ban_seconds=ban_seconds)
        self._rest = RestApi(market, self._clock, self._limits)
        self.archive = Archive(
            market,
            self._clock,
            daily_published_after=daily_published_after,
            monthly_published_day=monthly_published_day,
        )
        self._faults = Faults()
        self._port = port
        self._server: HttpServer | None = None

    def __enter__(self) -> Self:
        self._server = HttpServer(self._respond, self._port)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every connection and the server."""
        if self._server is not None:
            self._server.close()

    @property
    def url(self) -> str:
        """Returns the base URL of the REST endpoints and of the archive. `UsageError` before it serves."""
        if self._server is None:
            message = "The exchange is not serving. Use it in a with block."
            raise UsageError(message)
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def now(self) -> datetime:
        """Returns the time of the exchange's clock, in UTC; set it to move the clock."""
        return self._clock.now

    @now.setter
    def now(self, moment: datetime) -> None:
        self._clock.set(moment)

    def advance(self, step: timedelta) -> None:
        """Moves the clock forward."""
        self._clock.set(self._clock.now + step)

    def fail(
        self,
        kind: Kind,
        *,
        times: int | None = 1,
        match: str | Callable[[Request], bool] | None = None,
        **details: Any,
    ) -> Fault:
        """Makes the next ``times`` matching requests fail (None: all of them).

        ``kind`` is an HTTP status or the name of a fault. ``details`` depend on the kind:

        - a status: ``code`` and ``text`` for one of the exchange's own errors, ``retry_after`` (seconds) for
          429 and 418, or any ``body``; without them the answer has the body of the real exchange
        - ``drop``: no answer; ``truncate``: fewer bytes than the Content-Length says; ``cut_body``: half the
          body, with the right Content-Length
        - ``stall``: a pause of ``seconds`` half way; ``trickle``: ``bytes`` at a time, ``seconds`` between them
        - ``html_200``, ``body`` (``body``, ``status``, ``content_type``), ``wrong_date`` (``offset``)
        - for klines: ``duplicate_rows``, ``unordered_rows``, ``rows_outside_window``, ``empty_rows``,
          ``null_values``, ``text_values``, ``extra_columns``, ``wrong_symbol`` (``symbol``)

        ``match`` is a symbol, the start of a path, or a function of the request.
        """
        return self._faults.add(kind, times, match, details)

    def clear_faults(self) -> None:
        """Removes the faults that still wait for a request."""
        self._faults.clear()

    def prepare(self) -> None:
        """Does now the work that the first answers of the REST endpoints would otherwise wait for."""
        self._rest.prepare()

    def _respond(self, request: Request) -> Response | None:
        self.requests.append(request)
        if self.latency and self._server is not None:
            self._server.closing.wait(self.latency)
        fault = self._faults.strike(request)
        response = self._answer(request, fault)
        if response is None:
            return None
        date = self.now + self.date_offset + date_offset(fault)
        response.headers["Date"] = format_datetime(date, usegmt=True)
        request.status = response.status
        return response

    def _answer(self, request: Request, fault: Fault | None) -> Response | None:
        if not request.path.startswith("/api/"):
            return self._struck(request, fault, lambda: listing.answer(self.archive, request))
        charge = self._limits.charge(WEIGHTS.get(request.path, 1), self._clock.limit_seconds)

        def good_answer() -> Response:
            if charge.status != 200:
                return self._refuse(charge)
            return self._rest.answer(self._swap_symbol(request, fault))

        response = self._struck(request, fault, good_answer)
        if response is not None:
            used = str(charge.used)
            response.headers |= {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}
        return response

    def _struck(self, request: Request, fault: Fault | None, good_answer: Callable[[], Response]) -> Response | None:
        """Returns the answer after a fault has changed it; None if the fault drops it."""
        if fault is None:
            return good_answer()
        if fault.kind == "drop":
            return None
        if isinstance(fault.kind, int):
            return status_response(
                fault.kind, fault.details, weight_limit=self._limits.weight, now_us=self._clock.now_us
            )
        return garble(fault, request, good_answer())

    def _refuse(self, charge: Charge) -> Response:
        wait = max(1, ceil(self._clock.real_seconds(charge.wait)))
        if charge.status == 418:
            return banned(self._clock.now_us // 1_000 + int(charge.wait * 1_000), wait)
        return too_much_weight(self._limits.weight, wait)

    def _swap_symbol(self, request: Request, fault: Fault | None) -> Request:
        """Returns the request to answer: the one received, or the same for another symbol if a fault says so."""
        if fault is None or fault.kind != "wrong_symbol":
            return request
        other = fault.details.get("symbol") or next(name for name in self.market if name != request.symbol)
        return replace(
            request,
            query=[*((name, value) for name, value in request.query if name != "symbol"), ("symbol", other)],
        )


def _end_of(market: Market) -> datetime:
    """Returns the end of the last candle; for an empty market, the real time."""
    ends = [entry.candles["open_time"][-1].as_py() for entry in market.values() if entry.candles.num_rows]
    if not ends:
        return datetime.now(UTC)
    end: datetime = max(ends).replace(tzinfo=UTC) + timedelta(minutes=1)
    return end
