"""The table of timeframes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from threadx_duck.candles.timeframes import ONE_MINUTE, TIMEFRAMES, parse_timeframe
from threadx_duck.errors import UnknownTimeframeError, UsageError
from threadx_duck.storage.sqlfiles import list_sql

# Open-time intervals of the exchange above a second (binance-spot-api-docs, rest-api.md, klines).
EXCHANGE_INTERVALS = {"1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"}


def test_timeframes_are_those_of_the_contract_by_width() -> None:
    assert " ".join(TIMEFRAMES) == "1m 3m 5m 15m 30m 1h 2h 3h 4h 6h 8h 12h 1d 3d 1w 1mo"
    steps = [timeframe.step for timeframe in TIMEFRAMES.values()]
    assert steps == sorted(steps)


def test_every_interval_of_the_exchange_has_its_timeframe() -> None:
    assert {timeframe.interval for timeframe in TIMEFRAMES.values()} == EXCHANGE_INTERVALS | {None}
    assert TIMEFRAMES["3h"].interval is None
    assert TIMEFRAMES["1mo"].interval == "1M"


def test_every_timeframe_above_1m_has_a_view_of_its_name() -> None:
    views = {file.relation for file in list_sql("views")}
    assert {timeframe.view for label, timeframe in TIMEFRAMES.items() if label != "1m"} <= views
    assert ONE_MINUTE.view == "candles_1m"


@pytest.mark.parametrize(
    ("label", "width", "minutes"),
    [
        pytest.param("1m", "1 minutes", 1, id="1m"),
        pytest.param("3h", "3 hours", 180, id="3h"),
        pytest.param("7m", "7 minutes", 7, id="any minutes"),
        pytest.param("36h", "36 hours", 2_160, id="any hours"),
        pytest.param("10d", "10 days", 14_400, id="any days"),
        pytest.param("2w", "2 weeks", 20_160, id="any weeks"),
        pytest.param("9999w", "9999 weeks", 100_789_920, id="widest"),
    ],
)
def test_parse_timeframe_of_a_width_knows_its_minutes(label: str, width: str, minutes: int) -> None:
    timeframe = parse_timeframe(label)
    assert (timeframe.label, timeframe.width, timeframe.minutes) == (label, width, minutes)
    assert timeframe.step == timedelta(minutes=minutes)


def test_parse_timeframe_of_months_has_no_fixed_minutes() -> None:
    assert parse_timeframe("1mo").minutes is None
    assert parse_timeframe("1mo").step == timedelta(days=31)


def test_parse_timeframe_of_the_exchanges_own_has_its_interval() -> None:
    assert parse_timeframe("4h").interval == "4h"
    assert parse_timeframe("240m").interval is None


@pytest.mark.parametrize(
    "label",
    [
        *("", "m", "1", "0m", "01m", "-1m", "1.5h", "1M", "1H", "1y", "2mo", "1s", "10000m", " 1m", "1m ", "1m\n"),
        *("1 m", "\u0661m", "candles_1h", "1h; drop table candles_1m"),
    ],
    ids=repr,
)
def test_parse_timeframe_of_anything_else_is_refused(label: str) -> None:
    with pytest.raises(UnknownTimeframeError) as refused:
        parse_timeframe(label)
    assert isinstance(refused.value, UsageError)
    assert str(refused.value) == (
        f"Unknown timeframe {label!r}. Write a number and m, h, d or w, such as 3h, or 1mo for months."
    )
