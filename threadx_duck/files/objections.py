"""Finds faults of a file to be imported: another timeframe, times of another zone, minutes proven to be absent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pyarrow.compute as pc

from threadx_duck.candles.klines import Klines
from threadx_duck.candles.times import MINUTE, format_time
from threadx_duck.errors import BadResponseError
from threadx_duck.ledger.page import Page
from threadx_duck.storage.store import Session

# If a file has at least this many candles and no two of them are a minute apart, it holds another timeframe.
_ENOUGH_TO_TELL = 3

# Times are shifted if at least this many candles equal the stored ones at another time, and this many times more
# than at their own time.
_ENOUGH_SHIFTED = 30
_TIMES_MORE = 5

# They must also be more than one in this many of the candles that could be compared: in a year of local time, half
# of the candles are equal at each of its two offsets.
_SHARE = 2.5

_MINUTE = 60_000_000


def require_minutes(name: str, klines: Klines) -> None:
    """Raises `BadResponseError` for candles of another timeframe."""
    opens, rejected = klines.candles["open_time"], klines.rejected
    off_grid = pc.sum(pc.equal(rejected["reason"], "off_grid")).as_py() or 0
    if off_grid > max(_ENOUGH_TO_TELL, len(opens)):
        raise BadResponseError(
            f"{name} holds no 1m candles: {off_grid:,} of {len(opens) + rejected.num_rows:,} open off the minute."
        )
    if len(opens) < _ENOUGH_TO_TELL:
        return
    micros = opens.cast("int64")
    least = pc.min(pc.subtract(micros[1:], micros[:-1])).as_py() // _MINUTE
    if least > 1:
        raise BadResponseError(
            f"{name} holds no 1m candles: no two are a minute apart. The nearest are {least:,} minutes apart, "
            f"from {format_time(opens[0].as_py())} on."
        )


def require_unshifted(session: Session, page: Page) -> None:
    """Raises `BadResponseError` for candles that equal the stored ones but have other times."""
    if not page.candles.num_rows:
        return
    first, last = page.candles["open_time"][0].as_py(), page.candles["open_time"][-1].as_py()
    with session.tables(incoming=page.candles):
        found = session.run("objections/import_shifts", symbol=page.symbol, first=first, last=last)
    counts: dict[timedelta, tuple[int, int]] = {shift: (equal, compared) for shift, equal, compared in found}
    if not counts:
        return
    shift, (equal, compared) = max(counts.items(), key=lambda entry: entry[1][0])
    here, _ = counts.get(timedelta(), (0, 0))
    # If prices move by a coarse tick, many candles equal others by chance, but never most of them.
    is_most = equal * _SHARE > compared
    if shift and is_most and equal >= _ENOUGH_SHIFTED and equal > _TIMES_MORE * here:
        raise BadResponseError(
            f"{page.url} holds candles of {page.symbol} at another time: {equal:,} of them equal the stored ones "
            f"{_shown(shift)}, {here:,} at the time they claim. Times must be UTC, or text with an offset, "
            "and the start of the minute."
        )


def without_absent(session: Session, page: Page) -> tuple[Page, int]:
    """Returns the page without candles of minutes that the exchange is known to lack, and the number of these.

    Some programs fill gaps with candles of their own.
    """
    if not page.candles.num_rows:
        return page, 0
    first, last = page.candles["open_time"][0].as_py(), page.candles["open_time"][-1].as_py()
    with session.tables(incoming=page.candles):
        kept = session.query("objections/import_unproven", symbol=page.symbol, first=first, end=last + MINUTE)
    left_out = page.candles.num_rows - kept.num_rows
    if not left_out:
        return page, 0
    return replace(page, candles=kept.select(page.candles.column_names).cast(page.candles.schema)), left_out


def _shown(shift: timedelta) -> str:
    minutes = abs(shift) // MINUTE
    amount = f"{minutes} min" if minutes < 60 else f"{minutes / 60:g} h"
    return f"{amount} {'later' if shift > timedelta() else 'earlier'}"
