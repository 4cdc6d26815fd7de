"""The exchange's REST interface: its clock, its symbols, a symbol's first candle, and ranges of candles by page."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.arrays import text, time
from threadx_duck.candles.klines import UNREADABLE, Klines, read_kline_rows, require_ascending, require_mostly_candles
from threadx_duck.candles.ranges import EVER, TimeRange, month_of
from threadx_duck.candles.timeframes import ONE_MINUTE, Timeframe
from threadx_duck.candles.times import EPOCH, MINUTE, floor_minute, format_time, utc_now
from threadx_duck.config import ApiSettings
from threadx_duck.errors import BadResponseError, DownloadError, RateLimitedError, ServerFailedError
from threadx_duck.exchange.budget import RequestBudget
from threadx_duck.exchange.http import Answer, HttpClient
from threadx_duck.exchange.listing import read_symbols
from threadx_duck.exchange.markets import LATE_CANDLES, PAGE_CANDLES, ExchangeSymbol
from threadx_duck.exchange.statuses import raise_for_status, read_json
from threadx_duck.exchange.waits import Waits
from threadx_duck.exchange.weights import MATTERS_FROM, read_weight_limit, used_weight
from threadx_duck.ledger.page import Page
from threadx_duck.texts.urls import without_user

logger = logging.getLogger("threadx_duck.sources")

# How many pages are in flight at once, for all symbols together.
REQUESTS_IN_FLIGHT = 24

_MOST_BYTES = 8 << 20
# The list of all symbols, with their filters, is a hundred times as large as a page of candles.
_MOST_LIST_BYTES = 64 << 20

# An off-grid row shares its minute with a row on the grid, so a window takes at most two pages from a sound host.
_MOST_PAGES = 4

# How far a host's clock and its ``Date`` header, or that header and this machine's clock, may differ unchecked.
_CLOCKS_DIFFER = timedelta(minutes=5)
# The candle that is still forming may open this long after a header's time, which is in whole seconds.
_NEWEST_ROW = timedelta(minutes=2)

# If the price changes by more than this factor from one page to the next, both pages are requested again.
_JUMP = 1.5

# The exchange's clock is never outside these bounds, in milliseconds: the exchange opened in 2017.
_FIRST_CLOCK, _LAST_CLOCK = 1_483_228_800_000, 4_102_444_800_000

Content = TypeVar("Content")


@dataclass(frozen=True)
class _Fetched:
    """The candles of one window; ``last`` is the last row's time in milliseconds, -1 if there is no row."""

    window: TimeRange
    klines: Klines
    answers: tuple[Answer, ...]
    last: int
    is_full: bool


class RestSource:
    """Fetches klines from one host for all threads of a run, within one request budget."""

    def __init__(self, settings: ApiSettings, stop: threading.Event, waits: Waits | None = None) -> None:
        self.waits = waits or Waits()
        self._klines_url = settings.base_url.rstrip("/") + settings.klines_endpoint
        host = urlsplit(without_user(settings.base_url)).netloc
        self.budget = RequestBudget(settings.rate_limit_calls, settings.rate_limit_window, stop, host, self.waits)
        self._client = HttpClient(settings, stop, connections=REQUESTS_IN_FLIGHT, waits=self.waits)
        self._ahead: timedelta | None = None
        self._pool = ThreadPoolExecutor(REQUESTS_IN_FLIGHT, thread_name_prefix="rest")

    def close(self) -> None:
        """Ends the threads and closes the connections."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def server_time(self) -> datetime:
        """Returns the exchange's time, naive UTC. Raises `DownloadError`."""

        def read(answer: Answer) -> datetime:
            told = read_json(answer, "its clock")
            milliseconds = told.get("serverTime") if isinstance(told, dict) else None
            if type(milliseconds) is not int or not _FIRST_CLOCK <= milliseconds < _LAST_CLOCK:
                raise BadResponseError(f"{answer.url} did not tell the time.")
            return self._compare_clocks(EPOCH + timedelta(milliseconds=milliseconds), answer)

        return self._get(self._url("time"), "its clock", read)

    def _compare_clocks(self, clock: datetime, answer: Answer) -> datetime:
        """Returns the exchange's clock, or its ``Date`` header if this machine's clock agrees with the header only.

        If the two differ, the difference between the returned time and this machine's clock is used from now on.
        """
        dated, now = answer.moment, utc_now()
        if abs(clock - dated) <= _CLOCKS_DIFFER:
            return clock
        is_outvoted = answer.is_dated and abs(dated - now) <= _CLOCKS_DIFFER
        taken = dated if is_outvoted else clock
        if self._ahead is None:
            self._ahead = taken - now
            why = (
                ". This machine's clock agrees with the former, which is taken."
                if is_outvoted
                else ": the clock is taken."
            )
            self.budget.say(
                f"{urlsplit(answer.url).netloc} dates its answers {format_time(dated)}, but its clock is "
                f"{format_time(clock.replace(microsecond=0))}{why}"
            )
        return taken

    def _timed(self, answer: Answer, last: int) -> Answer:
        """Returns the answer with the exchange's true time. Raises `DownloadError` for rows in the future.

        A ``Date`` header that is earlier than the answer's rows, or ahead of this machine's clock, is compared with
        the exchange's clock. ``last`` is the last row's time in milliseconds.
        """
        newest = EPOCH + timedelta(milliseconds=last if _FIRST_CLOCK <= last < _LAST_CLOCK else 0)
        is_doubtful = newest > answer.moment + _NEWEST_ROW or answer.moment > utc_now() + _CLOCKS_DIFFER
        if is_doubtful and self._ahead is None:
            self.server_time()
        if self._ahead is not None:
            answer = replace(answer, moment=(utc_now() + self._ahead).replace(microsecond=0))
        if newest > answer.moment + _NEWEST_ROW:
            opened, clock = format_time(newest.replace(microsecond=0)), format_time(answer.moment)
            raise BadResponseError(
                f"{urlsplit(answer.url).netloc} answered with a candle of {opened}, though its clock is {clock}; "
                "nothing of it was stored."
            )
        return answer

    def fetch_symbols(self, symbol: str | None = None) -> list[ExchangeSymbol]:
        """Returns the symbols that the exchange lists, sorted by name; or only ``symbol``, if it exists.

        Raises `UnknownSymbolError` or another `DownloadError`.
        """
        parameters = {"showPermissionSets": "false"} if symbol is None else {"symbol": symbol}
        url = self._url("exchangeInfo", **parameters)
        return self._get(url, symbol or "its symbols", read_symbols, most_bytes=_MOST_LIST_BYTES)

    def fetch_first(self, symbol: str) -> Page | None:
        """Returns the symbol's very first minute, conclusive for all time before it; None if it has no candle yet.

        If the first row cannot be stored, the page is empty and ends before that row's minute. The exchange
        publishes no listing date; ``startTime=0&limit=1`` is how its clients find the first candle.
        """
        fetched = self._fetch(symbol, ONE_MINUTE, EVER, limit=1)
        if fetched.last < 0:
            # A single wrong empty answer would hide the whole symbol.
            fetched = _joined(fetched, self._fetch(symbol, ONE_MINUTE, EVER, limit=1))
        page = _to_page(symbol, ONE_MINUTE, fetched)
        if page.candles.num_rows:
            return replace(page, range_end=page.candles["open_time"][0].as_py() + MINUTE)
        if not page.rejected.num_rows:
            return None
        first = page.rejected["minute"][0].as_py()
        if first is None:
            raise BadResponseError(f"{page.url} answered with a first row that has no open time.")
        return replace(page, range_end=first, rejected=page.rejected.slice(1))

    def fetch_range(self, symbol: str, timeframe: Timeframe, wanted: TimeRange, lookahead: int) -> Iterator[Page]:
        """Yields the candles that open in a range, in time order, with up to ``lookahead`` pages in flight.

        Each page's range starts where the previous one ends; the last one ends where the answers stop being
        conclusive. Raises `DownloadError`; earlier pages remain valid.
        """
        held: _Fetched | None = None
        answers = self._fetch_pages(symbol, timeframe, wanted, lookahead)
        while True:
            try:
                fetched = next(answers, None)
            except DownloadError:
                if held is not None:
                    yield _to_page(symbol, timeframe, held)
                raise
            if held is not None and fetched is not None and _is_jump(held, fetched):
                # These may be another symbol's candles. In a real crash, the second answer is the same.
                held = self._fetch_window(symbol, timeframe, held.window)
                fetched = self._fetch_window(symbol, timeframe, fetched.window)
            if held is not None:
                yield _to_page(symbol, timeframe, held)
            if fetched is None:
                return
            held = fetched

    def _fetch_pages(self, symbol: str, timeframe: Timeframe, wanted: TimeRange, lookahead: int) -> Iterator[_Fetched]:
        step = timeframe.step * PAGE_CANDLES
        pending: deque[Future[_Fetched]] = deque()
        cursor = wanted.start
        try:
            while pending or cursor < wanted.end:
                while len(pending) < lookahead and cursor < wanted.end:
                    window = TimeRange(cursor, min(cursor + step, wanted.end))
                    pending.append(self._pool.submit(self._fetch_window, symbol, timeframe, window))
                    cursor = window.end
                fetched = pending.popleft().result()
                if fetched.last < 0 and _conclusive_end(timeframe, fetched) > fetched.window.start:
                    # An empty page is requested a second time, together with everything after it.
                    _cancel(pending)
                    fetched = self._fetch_across(symbol, timeframe, fetched, wanted.end)
                    cursor = fetched.window.end
                yield fetched
                if _conclusive_end(timeframe, fetched) < fetched.window.end:
                    return
        finally:
            _cancel(pending)

    def fetch_next(self, symbol: str, timeframe: Timeframe, wanted: TimeRange) -> Page:
        """Returns the next candle in a range, conclusive up to and including it; an empty page if there is none."""
        fetched = self._fetch(symbol, timeframe, wanted, limit=1)
        if fetched.last < 0:
            fetched = _joined(fetched, self._fetch(symbol, timeframe, wanted, limit=1))
        page = _to_page(symbol, timeframe, fetched)
        if fetched.last < 0:
            return page
        return replace(page, range_end=floor_minute(EPOCH + timedelta(milliseconds=fetched.last)) + timeframe.step)

    def _fetch_window(self, symbol: str, timeframe: Timeframe, window: TimeRange) -> _Fetched:
        """Returns all rows of a window. After a full page that ends before the window does, fetches the rest."""
        fetched = self._fetch(symbol, timeframe, window)
        while fetched.is_full and fetched.last + 1 < _milliseconds(window.end - timeframe.step):
            if len(fetched.answers) >= _MOST_PAGES:
                raise BadResponseError(
                    f"{urlsplit(fetched.answers[0].url).netloc} answers with more than {_MOST_PAGES * PAGE_CANDLES:,} "
                    f"rows for {PAGE_CANDLES:,} {timeframe.label} candles of {symbol}; nothing of it was stored."
                )
            # One millisecond later, not one minute: an off-grid row may share its minute with one on the grid.
            more = self._fetch(symbol, timeframe, window, first=fetched.last + 1)
            fetched = _joined(fetched, more)
        return fetched

    def _fetch_across(self, symbol: str, timeframe: Timeframe, empty: _Fetched, end: datetime) -> _Fetched:
        """Returns the next page of rows after an empty answer, with one request for a hole of any length.

        If that answer is empty too and covers more than the first one, it is requested once more.
        """
        rest = TimeRange(empty.window.start, end)
        fetched = self._fetch(symbol, timeframe, rest)
        if fetched.last < 0 and end > empty.window.end:
            fetched = _joined(fetched, self._fetch(symbol, timeframe, rest))
        fetched = replace(_joined(fetched, empty), is_full=fetched.is_full)
        if not fetched.is_full:
            return fetched
        # The next page may begin with an off-grid row of the last minute, so the next window includes that minute.
        cut = floor_minute(EPOCH + timedelta(milliseconds=fetched.last))
        candles, rejected = fetched.klines
        klines = Klines(
            candles.filter(pc.less(candles["open_time"], time(cut))),
            rejected.filter(pc.less(rejected["minute"], time(cut))),
        )
        return replace(fetched, window=TimeRange(rest.start, cut), klines=klines)

    def _fetch(
        self,
        symbol: str,
        timeframe: Timeframe,
        window: TimeRange,
        *,
        first: int | None = None,
        limit: int = PAGE_CANDLES,
    ) -> _Fetched:
        """Sends one request and returns its rows. ``startTime`` and ``endTime`` filter by open time, both inclusive."""
        start = _milliseconds(window.start) if first is None else first
        bounds = {"startTime": start}
        if window.end != EVER.end:
            bounds["endTime"] = _milliseconds(window.end) - 1

        def read(answer: Answer) -> _Fetched:
            rows = read_json(answer, symbol)
            if not isinstance(rows, list):
                raise BadResponseError(f"{answer.url} did not answer with a list of candles.")
            klines = read_kline_rows(symbol, rows)
            if window.end != EVER.end:
                # The search for the first candle has no end. Even if its row is unreadable, it proves what is before.
                require_mostly_candles(klines, urlsplit(answer.url).netloc)
            _require_window(klines, TimeRange(EPOCH + timedelta(milliseconds=start), window.end), answer)
            last = _last_time(rows, answer)
            return _Fetched(window, klines, (self._timed(answer, last),), last, is_full=len(rows) >= limit)

        url = self._url("", symbol=symbol, interval=timeframe.interval, **bounds, limit=limit)
        fetched = self._get(url, symbol, read)
        if pc.any(pc.equal(fetched.klines.rejected["reason"], text(UNREADABLE))).as_py():
            # The rows were garbled on their way or at the exchange: the second answer is used as it is.
            fetched = self._get(url, symbol, read)
        self._learn_weight_limit(symbol, fetched.answers[0])
        return fetched

    def _get(self, url: str, what: str, read: Callable[[Answer], Content], *, most_bytes: int = _MOST_BYTES) -> Content:
        def read_good(answer: Answer) -> Content:
            self.budget.observe(used_weight(answer), answer.moment.second)
            try:
                raise_for_status(answer, what)
            except (RateLimitedError, ServerFailedError) as error:
                self.budget.pause(error.retry_after)
                raise
            return read(answer)

        return self._client.get(url, read_good, turn=self.budget.call, most_bytes=most_bytes)

    def _learn_weight_limit(self, symbol: str, answer: Answer) -> None:
        """Fetches the exchange's weight limit, once, as soon as it may matter."""
        if used_weight(answer) < MATTERS_FROM or not self.budget.may_learn_limit():
            return

        def read(answer: Answer) -> int:
            try:
                return read_weight_limit(read_json(answer, "its limits"))
            except ValueError as error:
                # Not retryable: the answer is complete, so a second one would be the same.
                raise DownloadError(f"{answer.url} tells {error}.") from error

        try:
            self.budget.weight_limit = self._get(self._url("exchangeInfo", symbol=symbol), "its limits", read)
        except DownloadError as error:
            # The fetched candles are good, and the usual limit stays in force.
            if error.stops_run:
                raise
            logger.warning("the usual weight limit is assumed: %s", error)

    def _url(self, sibling: str, **parameters: Any) -> str:
        """Returns the URL of the klines, or of another endpoint beside them, with a percent-encoded query."""
        path = self._klines_url.rpartition("/")[0] + "/" + sibling if sibling else self._klines_url
        return f"{path}?{urlencode(parameters, quote_via=quote)}" if parameters else path


def _to_page(symbol: str, timeframe: Timeframe, fetched: _Fetched) -> Page:
    """Returns a page of the closed candles, with the range that the answers are conclusive for."""
    moment = min(answer.moment for answer in fetched.answers)
    newest = time(_newest_closed(timeframe, moment))
    candles, rejected = fetched.klines
    candles = candles.filter(pc.less_equal(candles["open_time"], newest))
    rejected = rejected.filter(pc.or_kleene(pc.is_null(rejected["minute"]), pc.less_equal(rejected["minute"], newest)))
    return Page(
        symbol=symbol,
        timeframe=timeframe.label,
        source="rest",
        range_start=fetched.window.start,
        range_end=_conclusive_end(timeframe, fetched),
        candles=candles,
        rejected=rejected,
        url=fetched.answers[0].url,
        bodies=tuple(answer.body for answer in fetched.answers),
        requested_at=moment,
        seconds=sum(answer.seconds for answer in fetched.answers),
    )


def _conclusive_end(timeframe: Timeframe, fetched: _Fetched) -> datetime:
    """Returns the end of the range that the answers are conclusive for.

    In the last `LATE_CANDLES` that is the end of the last received candle, because later ones may still be missing.
    """
    moment = min(answer.moment for answer in fetched.answers)
    start, end = fetched.window
    settled = floor_minute(moment - LATE_CANDLES)
    if end <= settled:
        return end
    times = fetched.klines.candles["open_time"]
    closed = times.filter(pc.less_equal(times, time(_newest_closed(timeframe, moment))))
    received = closed[-1].as_py() + timeframe.step if len(closed) else start
    return max(start, min(end, max(settled, received)))


def _is_jump(before: _Fetched, after: _Fetched) -> bool:
    """Whether the price changes from one answer to the next by more than it normally does within a minute."""
    earlier, later = before.klines.candles, after.klines.candles
    if not earlier.num_rows or not later.num_rows:
        return False
    ratio = later["open"][0].as_py() / earlier["close"][-1].as_py()
    return not 1 / _JUMP < ratio < _JUMP


def _newest_closed(timeframe: Timeframe, moment: datetime) -> datetime:
    """Returns the latest open time of a candle that is closed at a moment of the exchange's clock."""
    if timeframe.minutes is None:
        return month_of(moment).start - MINUTE
    return moment - timedelta(minutes=timeframe.minutes)


def _require_window(klines: Klines, window: TimeRange, answer: Answer) -> None:
    times = klines.candles["open_time"]
    require_ascending(times, answer.url)
    if len(times) and not window.start <= times[0].as_py() <= times[-1].as_py() < window.end:
        raise BadResponseError(f"{answer.url} answered with candles of another time; nothing of it was stored.")


def _last_time(rows: list[Any], answer: Answer) -> int:
    if not rows:
        return -1
    last = rows[-1][0] if isinstance(rows[-1], list) and rows[-1] else None
    if not isinstance(last, int):
        raise BadResponseError(f"{answer.url} answered with a last row that has no open time.")
    return last


def _joined(fetched: _Fetched, more: _Fetched) -> _Fetched:
    klines = Klines(
        pa.concat_tables([fetched.klines.candles, more.klines.candles]),
        pa.concat_tables([fetched.klines.rejected, more.klines.rejected]),
    )
    last = max(fetched.last, more.last)
    return _Fetched(fetched.window, klines, fetched.answers + more.answers, last, more.is_full)


def _milliseconds(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


def _cancel(pending: deque[Future[_Fetched]]) -> None:
    for future in pending:
        future.cancel()
    pending.clear()
