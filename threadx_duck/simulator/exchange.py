"""The loopback exchange: one server that answers like the exchange, by a clock and a script of faults."""

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
    """The requests received, oldest first; appended before they are answered."""

    def of(self, *, path: str | None = None, symbol: str | None = None, status: int | None = None) -> list[Request]:
        """Return the requests whose path starts with ``path``, for a symbol, answered with a status."""
        return [
            request
            for request in self
            if (path is None or request.path.startswith(path))
            and (symbol is None or request.symbol == symbol)
            and (status is None or request.status == status)
        ]

    @property
    def klines(self) -> list[Request]:
        """Those for candles."""
        return self.of(path=KLINES)


class LoopbackExchange:
    """Serves a market over HTTP on 127.0.0.1 while it is entered.

    ``now`` is what its clock shows at the start, by default the end of the market's last candle;
    ``speed`` how fast the clock runs (0 frozen, 1 real time). ``latency`` is waited before each answer,
    in real seconds; ``date_offset`` puts the Date header wrong. Both may be set while it serves.
    The limits are weight per minute and requests per five minutes; ``ban_after`` refusals in a minute
    ban for ``ban_seconds``. ``requests`` records everything received. ``archive`` is the bulk archive,
    which the same server has under ``/data`` and lists at ``/``.
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
        """End every connection and the server."""
        if self._server is not None:
            self._server.close()

    @property
    def url(self) -> str:
        """The base URL of the REST endpoints and of the archive."""
        if self._server is None:
            message = "The exchange is not serving; enter it first."
            raise UsageError(message)
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def now(self) -> datetime:
        """The time of the exchange's clock, in UTC; set it to move the clock."""
        return self._clock.now

    @now.setter
    def now(self, moment: datetime) -> None:
        self._clock.set(moment)

    def advance(self, step: timedelta) -> None:
        """Move the clock on."""
        self._clock.set(self._clock.now + step)

    def fail(
        self,
        kind: Kind,
        *,
        times: int | None = 1,
        match: str | Callable[[Request], bool] | None = None,
        **details: Any,
    ) -> Fault:
        """Let the next ``times`` matching requests fail (None: all of them).

        ``kind`` is an HTTP status or what goes wrong; ``details`` by kind:

        - a status: ``code`` and ``text`` for an error of the exchange's own, ``retry_after`` (seconds) for
          429 and 418, or any ``body``; without them the body of the real exchange
        - ``drop``: no answer; ``truncate``: less than the Content-Length; ``cut_body``: half, rightly counted
        - ``stall`` (``seconds``, half way), ``trickle`` (``bytes`` at a time, ``seconds`` between)
        - ``html_200``, ``body`` (``body``, ``status``, ``content_type``), ``wrong_date`` (``offset``)
        - for klines: ``duplicate_rows``, ``unordered_rows``, ``rows_outside_window``, ``empty_rows``,
          ``null_values``, ``text_values``, ``extra_columns``, ``wrong_symbol`` (``symbol``)

        ``match`` is a symbol, the start of a path, or a function of the request.
        """
        return self._faults.add(kind, times, match, details)

    def clear_faults(self) -> None:
        """Forget the faults that have not struck yet."""
        self._faults.clear()

    def prepare(self) -> None:
        """Do now the work that the first answers of the REST endpoints would otherwise wait for."""
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
        """Return the answer that a fault leaves, None for none at all."""
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
        """Return the request to answer: the one asked, or the same for the symbol that a fault puts in."""
        if fault is None or fault.kind != "wrong_symbol":
            return request
        other = fault.details.get("symbol") or next(name for name in self.market if name != request.symbol)
        return replace(
            request,
            query=[*((name, value) for name, value in request.query if name != "symbol"), ("symbol", other)],
        )


def _end_of(market: Market) -> datetime:
    """Return the end of the last candle; for an empty market the real time."""
    ends = [entry.candles["open_time"][-1].as_py() for entry in market.values() if entry.candles.num_rows]
    if not ends:
        return datetime.now(UTC)
    end: datetime = max(ends).replace(tzinfo=UTC) + timedelta(minutes=1)
    return end
