"""The REST endpoints under /api/v3, and their errors."""

from __future__ import annotations

import re
from threading import Lock
from typing import TYPE_CHECKING, cast

import orjson

from threadx_duck.simulator.pages import Pages
from threadx_duck.simulator.rollup import INTERVALS, MINUTE_US
from threadx_duck.simulator.wire import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from threadx_duck.simulator.clock import Clock
    from threadx_duck.simulator.limits import Limits
    from threadx_duck.simulator.market import Market, SymbolMarket
    from threadx_duck.simulator.rows import TimeUnit

KLINES = "/api/v3/klines"
WEIGHTS = {"/api/v3/ping": 1, "/api/v3/time": 1, "/api/v3/exchangeInfo": 20, KLINES: 2}

# The exchange moves bounds outside [2017, now + 10 s] inside; it does not refuse them.
_FLOOR_US = 1_483_228_800_000_000
_AHEAD_US = 10_000_000
# From here on a number can only mean microseconds; as milliseconds it would be the year 5138.
_MICROSECONDS_FROM = 10**14

_STATUSES = ("TRADING", "END_OF_DAY", "HALT", "BREAK", "CANCEL_ONLY")
_QUOTE_ASSETS = ("FDUSD", "USDC", "USDT", "TUSD", "BUSD", "USD", "BTC", "ETH", "BNB", "EUR", "TRY")
# The exchange documents ^[\w\-._&&[^a-z]]{1,50}$ in Java's syntax.
_SYMBOL = re.compile(r"(?:(?![a-z])[\w\-.]){1,50}")
_DIGITS = re.compile(r"[0-9]{1,20}")
_TIME_ZONE = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-9]{2}))?")


class ApiError(Exception):
    """An error answer of the exchange: its code, its text, and its HTTP status."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status

    def response(self) -> Response:
        """Returns the error as an HTTP answer."""
        return Response(self.status, orjson.dumps({"code": self.code, "msg": self.text}))


class RestApi:
    """Answers requests about one market, by one clock."""

    def __init__(self, market: Market, clock: Clock, limits: Limits) -> None:
        self._market, self._clock, self._limits = market, clock, limits
        self._pages: dict[tuple[str, str, TimeUnit, int], tuple[SymbolMarket, Pages]] = {}
        self._lock = Lock()
        self._endpoints = {
            "/api/v3/ping": self._ping,
            "/api/v3/time": self._time,
            "/api/v3/exchangeInfo": self._exchange_info,
            KLINES: self._klines,
        }

    def answer(self, request: Request) -> Response:
        """Returns the answer to a request, an error where the exchange answers with one."""
        endpoint = self._endpoints.get(request.path)
        if endpoint is None:
            return Response(404, b"")
        try:
            return Response(body=endpoint(request))
        except ApiError as error:
            return error.response()

    def prepare(self) -> None:
        """Renders the 1m rows of every symbol now, so that no later answer waits for that."""
        for symbol in list(self._market):
            self._pages_of(symbol, "1m", "ms", 0).prepare()

    def _ping(self, request: Request) -> bytes:
        _read_parameters(request, ())
        return b"{}"

    def _time(self, request: Request) -> bytes:
        _read_parameters(request, ())
        return orjson.dumps({"serverTime": self._server_time(request)})

    def _server_time(self, request: Request) -> int:
        now_us = self._clock.now_us
        return now_us if _time_unit(request) == "us" else now_us // 1_000

    def _klines(self, request: Request) -> bytes:
        names = ("symbol", "interval", "startTime", "endTime", "timeZone", "limit")
        given = _read_parameters(request, names, mandatory=("symbol", "interval"))
        symbol, interval = given["symbol"], given["interval"]
        if not _SYMBOL.fullmatch(symbol):
            raise _illegal("symbol", r"^[\w\-._&&[^a-z]]{1,50}$")
        for name in ("startTime", "endTime", "limit"):
            if name in given and not _DIGITS.fullmatch(given[name]):
                raise _illegal(name, "^[0-9]{1,20}$")
        if symbol not in self._market:
            raise ApiError(-1121, "Invalid symbol.")
        if interval not in INTERVALS:
            raise ApiError(-1120, "Invalid interval.")
        limit = int(given.get("limit", 500))
        if not limit:
            raise _invalid("limit")
        offset_us = _time_zone(given.get("timeZone", "0"))
        pages = self._pages_of(symbol, interval, _time_unit(request), offset_us)
        now_us = self._clock.now_us
        start_us, end_us = (_bound(given[name], now_us) if name in given else None for name in ("startTime", "endTime"))
        return pages.page(start_us, end_us, min(limit, 1_000), now_us)

    def _pages_of(self, symbol: str, interval: str, unit: TimeUnit, offset_us: int) -> Pages:
        key = (symbol, interval, unit, offset_us)
        with self._lock:
            market = self._market[symbol]
            known = self._pages.get(key)
            # A replaced symbol is another object, so its pages are built again.
            if known is None or known[0] is not market:
                known = (market, Pages(market, interval, unit, offset_us=offset_us))
                self._pages[key] = known
            return known[1]

    def _exchange_info(self, request: Request) -> bytes:
        names = ("symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
        given = _read_parameters(request, names)
        if len({"symbol", "symbols", "symbolStatus"} & given.keys()) > 1:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        permission_sets = [] if given.get("showPermissionSets") == "false" else [["SPOT", "MARGIN"]]
        return orjson.dumps(
            {
                "timezone": "UTC",
                "serverTime": self._server_time(request),
                "rateLimits": [
                    _rate_limit("REQUEST_WEIGHT", 1, self._limits.weight),
                    _rate_limit("RAW_REQUESTS", 5, self._limits.raw),
                ],
                "exchangeFilters": [],
                "symbols": [
                    _symbol_entry(symbol, self._market[symbol], permission_sets)
                    for symbol in self._asked_symbols(given)
                ],
            }
        )

    def _asked_symbols(self, given: dict[str, str]) -> Iterable[str]:
        if "symbolStatus" in given:
            status = given["symbolStatus"]
            if status not in _STATUSES:
                raise ApiError(-1122, "Invalid symbolStatus.")
            return [symbol for symbol, market in list(self._market.items()) if market.status == status]
        if "symbol" in given:
            asked = [given["symbol"]]
        elif "symbols" in given:
            asked = _symbol_list(given["symbols"])
        else:
            return list(self._market)
        for symbol in asked:
            if not _SYMBOL.fullmatch(symbol):
                raise _illegal("symbol", r"^[\w\-._&&[^a-z]]{1,50}$")
        if not set(asked) <= self._market.keys():
            raise ApiError(-1121, "Invalid symbol.")
        return asked


def _read_parameters(request: Request, known: tuple[str, ...], mandatory: tuple[str, ...] = ()) -> dict[str, str]:
    """Returns the parameters, checked in the order in which the exchange seems to check them."""
    given = request.params
    if len(given) < len(request.query):
        raise ApiError(-1101, "Duplicate values for a parameter detected.")
    read = sum(name in known for name in given)
    if read < len(given):
        text = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(given)}'."
        raise ApiError(-1104, text)
    for name in mandatory:
        if not given.get(name):
            text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
            raise ApiError(-1102, text)
    for name, value in given.items():
        if not value:
            raise ApiError(-1105, f"Parameter '{name}' was empty.")
    return given


def _illegal(name: str, pattern: str) -> ApiError:
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")


def _invalid(name: str) -> ApiError:
    return ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")


def _time_unit(request: Request) -> TimeUnit:
    unit = request.headers.get("x-mbx-time-unit", "MILLISECOND")
    if unit.lower() not in {"microsecond", "millisecond"} or not (unit.isupper() or unit.islower()):
        text = "Invalid value for time unit; expected either MICROSECOND or MILLISECOND."
        raise ApiError(-1194, text)
    return "us" if unit.lower() == "microsecond" else "ms"


def _bound(text: str, now_us: int) -> int:
    number = int(text)
    microseconds = number if number >= _MICROSECONDS_FROM else number * 1_000
    return min(max(microseconds, _FLOOR_US), now_us + _AHEAD_US)


def _time_zone(text: str) -> int:
    """Returns how many microseconds a time zone such as ``-1:00``, ``05:45`` or ``8`` is ahead of UTC."""
    found = _TIME_ZONE.fullmatch(text)
    if found is None:
        raise _invalid("timeZone")
    minutes = int(found[2]) * 60 + int(found[3] or 0)
    minutes = -minutes if found[1] == "-" else minutes
    if not -720 <= minutes <= 840:
        raise _invalid("timeZone")
    return minutes * MINUTE_US


def _symbol_list(text: str) -> list[str]:
    try:
        symbols = orjson.loads(text)
    except orjson.JSONDecodeError:
        symbols = None
    if not isinstance(symbols, list) or " " in text:
        pattern = r'^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\]$'
        raise _illegal("symbols", pattern)
    return cast("list[str]", symbols)


def _rate_limit(kind: str, minutes: int, limit: int) -> dict[str, object]:
    return {"rateLimitType": kind, "interval": "MINUTE", "intervalNum": minutes, "limit": limit}


def _symbol_entry(symbol: str, market: SymbolMarket, permission_sets: list[list[str]]) -> dict[str, object]:
    quote = next((asset for asset in _QUOTE_ASSETS if symbol.endswith(asset)), symbol[-3:])
    tick, step = f"{10**-market.price_decimals:.8f}", f"{10**-market.volume_decimals:.8f}"
    return {
        "symbol": symbol,
        "status": market.status,
        "baseAsset": symbol.removesuffix(quote),
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "isSpotTradingAllowed": True,
        "filters": [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": tick,
                "maxPrice": "1000000.00000000",
                "tickSize": tick,
            },
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000.00000000", "stepSize": step},
        ],
        "permissions": [],
        "permissionSets": permission_sets,
    }
