"""Finds which column of a file is which of ours: by our names, by common other names, or by names that were given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from threadx_duck.candles.klines import CANDLE_SCHEMA
from threadx_duck.errors import UsageError

REQUIRED = ("open_time", "open", "high", "low", "close", "volume")

# The columns of the archive's files and of the exchange's rows of twelve; the last one is unused and may hold anything.
ARCHIVE_COLUMNS = (
    *REQUIRED,
    "close_time",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)

# Only letters and digits of names are compared. If several columns may be the time, all are read and compared.
_TIMES = ("opentime", "timestamp", "date", "datetime", "time", "ts", "unix", "unixtime", "t")

# The names of a pandas index in CSV and Parquet files; it is the time if no other column is.
_INDEXES = ("", "index", "unnamed0", "indexlevel0")

_ALIASES: dict[str, tuple[str, ...]] = {
    "symbol": ("symbol", "pair"),
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "c"),
    "volume": ("volume", "vol", "basevolume", "baseassetvolume", "volumebase", "v"),
    "quote_volume": ("quotevolume", "quoteassetvolume", "volumequote", "quotevol"),
    "trade_count": ("tradecount", "count", "trades", "numberoftrades", "numtrades", "numoftrades"),
    "taker_buy_volume": ("takerbuyvolume", "takerbuybasevolume", "takerbuybaseassetvolume", "takerbasevolume"),
    "taker_buy_quote_volume": ("takerbuyquotevolume", "takerbuyquoteassetvolume", "takerquotevolume"),
}

# CryptoDataDownload's "Volume BTC" and "Volume USDT" of a symbol BTCUSDT.
_VOLUME_OF = re.compile(r"volume[ _]([a-z0-9]+)", re.IGNORECASE | re.ASCII)

_MOST_SHOWN = 16


@dataclass
class Columns:
    """The columns of a file: all of equal length, under the file's own names, which may repeat.

    ``symbol`` and ``timeframe`` are those that the document names outside its rows. ``malformed`` holds the text of
    rows with another number of cells. ``notes`` tell the user how the file was read. ``is_text`` says that all cells
    are text from a CSV file.
    """

    names: list[str]
    arrays: list[pa.ChunkedArray]
    symbol: str | None = None
    timeframe: str | None = None
    malformed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_text: bool = False


class Roles(NamedTuple):
    """Positions of columns in a file: ``values`` by our names, ``times`` of every column that may be the open time."""

    values: dict[str, int]
    times: list[int]
    symbol: int | None


def find_roles(name: str, names: Sequence[str], mapping: Mapping[str, str], symbol: str | None) -> Roles:
    """Returns the role of each column. ``mapping`` maps our column names to the file's.

    ``symbol`` helps to distinguish the base volume from the quote volume. Raises `UsageError` for a column that is
    missing, that two names fit, or that exists only in ``mapping``.
    """
    given = {ours: _position(name, names, theirs) for ours, theirs in _checked(mapping).items()}
    keys = [_key(column) for column in names]
    values = dict(given)
    for ours in _ALIASES:
        if ours not in values:
            found = _find(name, names, keys, ours, symbol)
            if found is not None:
                values[ours] = found
    times = [values.pop("open_time")] if "open_time" in given else _times(name, names, keys, set(given.values()))
    lacking = [ours for ours in REQUIRED if ours not in values and not (ours == "open_time" and times)]
    if lacking:
        raise UsageError(
            f"{name} lacks the columns {', '.join(lacking)}. It has {shown(names)}; "
            "say which is which, as in --map open_time=date."
        )
    return Roles(values, times, values.pop("symbol", None))


def has_archive_order(line: bytes) -> bool:
    """Whether a header names the archive's columns in the archive's order."""
    names = line.decode("utf-8", "replace").split(",")
    try:
        roles = find_roles("", names, {}, None)
    except UsageError:
        return False
    places = {ours: ARCHIVE_COLUMNS.index(ours) for ours in roles.values}
    return roles.times == [0] and roles.values == places and roles.symbol is None


def has_prices(names: Sequence[str]) -> bool:
    """Whether the names include those of all four prices of a candle."""
    keys = set(map(_key, names))
    return all(keys & set(_ALIASES[price]) for price in ("open", "high", "low", "close"))


def has_time(names: Sequence[str]) -> bool:
    """Whether one of the names is a name of a time column."""
    return not {_key(name) for name in names}.isdisjoint(_TIMES)


def shown(names: Sequence[str]) -> str:
    """Returns the first column names in one line of text."""
    listed = [repr(name) if not name.isprintable() or not name.strip() else name for name in names[:_MOST_SHOWN]]
    return ", ".join(listed + ["…"] * (len(names) > _MOST_SHOWN)) or "none"


def _checked(mapping: Mapping[str, str]) -> Mapping[str, str]:
    unknown = sorted(set(mapping) - set(CANDLE_SCHEMA.names))
    if unknown:
        raise UsageError(
            f"There is no column {unknown[0]} of candles. The columns are {', '.join(CANDLE_SCHEMA.names)}."
        )
    return mapping


def _position(name: str, names: Sequence[str], theirs: str) -> int:
    """Returns the position of the column with a given name; if there is none, blanks around the names are ignored."""
    places = [place for place, column in enumerate(names) if column == theirs] or [
        place for place, column in enumerate(names) if column.strip() == theirs
    ]
    if not places:
        raise UsageError(f"{name} has no column {theirs}. It has {shown(names)}.")
    if len(places) > 1:
        raise _twice(name, [theirs] * len(places))
    return places[0]


def _find(name: str, names: Sequence[str], keys: list[str], ours: str, symbol: str | None) -> int | None:
    places = [place for place, key in enumerate(keys) if key == _key(ours)]
    places = places or [place for place, key in enumerate(keys) if key in _ALIASES[ours]]
    if not places and symbol and ours in {"volume", "quote_volume"}:
        places = [place for place, column in enumerate(names) if _is_volume_of(column, symbol, ours)]
    if len(places) > 1:
        raise _twice(name, [names[place] for place in places])
    return places[0] if places else None


def _is_volume_of(column: str, symbol: str, ours: str) -> bool:
    found = _VOLUME_OF.fullmatch(column.strip())
    if found is None or found[1].upper() == symbol:
        return False
    asset = found[1].upper()
    return symbol.startswith(asset) if ours == "volume" else symbol.endswith(asset)


def _times(name: str, names: Sequence[str], keys: list[str], taken: set[int]) -> list[int]:
    places = [place for place, key in enumerate(keys) if key in _TIMES and place not in taken]
    places = places or [place for place, key in enumerate(keys) if key in _INDEXES and place not in taken][:1]
    found = [names[place].strip() for place in places]
    repeated = [column for column in found if found.count(column) > 1]
    if repeated:
        raise _twice(name, repeated)
    return places


def _twice(name: str, columns: list[str]) -> UsageError:
    both = f"the column {columns[0].strip()} twice" if len(set(columns)) == 1 else f"both {' and '.join(columns)}"
    return UsageError(f"{name} has {both}; keep one of them, or say which, as in --map volume=vol.")


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
