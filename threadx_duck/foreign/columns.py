"""Which column of a file is which of ours: by our names, others' usual ones, or those that were given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from threadx_duck.candles.klines import CANDLE_SCHEMA
from threadx_duck.errors import UsageError

REQUIRED = ("open_time", "open", "high", "low", "close", "volume")

# The columns of the archive's files and of the exchange's rows of twelve; the unused last one holds anything.
ARCHIVE_COLUMNS = (
    *REQUIRED,
    "close_time",
    "quote_volume",
    "trade_count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)

# Names are compared by their letters and digits alone. Of several that may name a time all are read and compared.
_TIMES = ("opentime", "timestamp", "date", "datetime", "time", "ts", "unix", "unixtime", "t")

# The index of a pandas frame, as its CSV and Parquet files call it: a time if no other column is.
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
    """What a file holds: columns of equal length under the file's own names, which may repeat.

    ``symbol`` and ``timeframe`` are what the document says outside its rows; ``malformed`` the texts of rows that
    have another number of cells; ``notes`` what a person should know of how it was read. ``is_text`` says that all
    cells are the texts of a CSV file.
    """

    names: list[str]
    arrays: list[pa.ChunkedArray]
    symbol: str | None = None
    timeframe: str | None = None
    malformed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_text: bool = False


class Roles(NamedTuple):
    """Positions in a file's columns: ``values`` by our names, ``times`` of all that may be the open time."""

    values: dict[str, int]
    times: list[int]
    symbol: int | None


def find_roles(name: str, names: Sequence[str], mapping: Mapping[str, str], symbol: str | None) -> Roles:
    """Which column is which. ``mapping`` names theirs by ours; ``symbol`` tells the base from the quote volume.

    Raises `UsageError` for columns that are missing, that two names fit, or that a mapping invents.
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
    """Whether names are those of a candle's columns."""
    keys = set(map(_key, names))
    return all(keys & set(_ALIASES[price]) for price in ("open", "high", "low", "close"))


def has_time(names: Sequence[str]) -> bool:
    """Whether one of the names is that of a time."""
    return not {_key(name) for name in names}.isdisjoint(_TIMES)


def shown(names: Sequence[str]) -> str:
    """Some column names in one line."""
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
    """Where a column stands whose name was given: just so, or but for blanks around it."""
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
