"""The exchange's rows as Arrow tables: what becomes a candle, and what is rejected with which reason."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadx_duck.candles.klines import CANDLE_SCHEMA, REJECTED_SCHEMA, read_kline_rows, require_ascending
from threadx_duck.errors import BadResponseError

# Recorded from the exchange: ETHBTC, and BNBBTC's first minute with a number in the unused column.
ETHBTC = [
    *(1591478520000, "0.02501300", "0.02501800", "0.02500000", "0.02500000", "22.19000000", 1591478579999),
    *("0.55490906", 40, "10.92900000", "0.27336462", "0"),
]
BNBBTC = [
    *(1500004800000, "0.00005000", "0.00005300", "0.00001000", "0.00004790", "663152.00000000", 1500004859999),
    *("30.55108144", 43, "559224.00000000", "25.65468144", "83431971.04346950"),
]
QUIET = [
    *(1580436000000, "1.10410000", "1.10410000", "1.10410000", "1.10410000", "0.00000000", 1580439599999),
    *("0.00000000", 0, "0.00000000", "0.00000000", "0"),
]
OPEN_TIME, OPEN, HIGH, LOW, CLOSE, VOLUME, CLOSE_TIME, QUOTE, TRADES, TAKER, TAKER_QUOTE, UNUSED = range(12)


def changed(row: list[Any], **values: Any) -> list[Any]:
    """A row with other cells; keywords are the names of the positions above."""
    copy = list(row)
    for name, value in values.items():
        copy[globals()[name]] = value
    return copy


def test_a_row_becomes_a_candle_of_its_numbers() -> None:
    candles, rejected = read_kline_rows("ETHBTC", [ETHBTC])
    assert candles.schema == CANDLE_SCHEMA
    assert candles.to_pylist() == [
        {
            "symbol": "ETHBTC",
            "open_time": datetime(2020, 6, 6, 21, 22),
            "open": 0.025013,
            "high": 0.025018,
            "low": 0.025,
            "close": 0.025,
            "volume": 22.19,
            "quote_volume": 0.55490906,
            "trade_count": 40,
            "taker_buy_volume": 10.929,
            "taker_buy_quote_volume": 0.27336462,
        }
    ]
    assert rejected.schema == REJECTED_SCHEMA
    assert rejected.num_rows == 0


def test_no_rows_are_empty_tables() -> None:
    candles, rejected = read_kline_rows("ETHBTC", [])
    assert (candles.schema, candles.num_rows) == (CANDLE_SCHEMA, 0)
    assert (rejected.schema, rejected.num_rows) == (REJECTED_SCHEMA, 0)


def test_a_minute_without_trades_is_a_candle() -> None:
    candles, rejected = read_kline_rows("ABC", [QUIET])
    assert (candles.num_rows, rejected.num_rows) == (1, 0)
    assert candles["volume"].to_pylist() == [0.0]


@pytest.mark.parametrize(
    ("open_time", "expected"),
    [
        pytest.param(1_735_689_600_000, datetime(2025, 1, 1), id="milliseconds"),
        pytest.param(1_735_689_600_000_000, datetime(2025, 1, 1), id="microseconds"),
        pytest.param(0, datetime(1970, 1, 1), id="epoch"),
        pytest.param(99_999_999_960_000, datetime(5138, 11, 16, 9, 46), id="largest milliseconds"),
        pytest.param(100_000_020_000_000, datetime(1973, 3, 3, 9, 47), id="smallest microseconds"),
    ],
)
def test_open_time_is_told_by_its_magnitude(open_time: int, expected: datetime) -> None:
    candles, _ = read_kline_rows("ETHBTC", [changed(ETHBTC, OPEN_TIME=open_time)])
    assert candles["open_time"].to_pylist() == [expected]


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param({"CLOSE_TIME": 1591478534838}, id="early close"),
        pytest.param({"CLOSE_TIME": 0}, id="close before open"),
        pytest.param({"CLOSE_TIME": None}, id="no close time"),
        pytest.param({"UNUSED": "10779.83873125"}, id="number in the unused column"),
        pytest.param({"UNUSED": None}, id="nothing in the unused column"),
        pytest.param({"VOLUME": "28367292769.36000000"}, id="large volume"),
        pytest.param({"TAKER": "22.19000000", "TAKER_QUOTE": "0.55490906"}, id="all taken"),
        pytest.param({"TAKER": "0.00000000", "TAKER_QUOTE": "0.00000000"}, id="none taken"),
        pytest.param({"OPEN": "0.00000001", "LOW": "0.00000001"}, id="smallest price"),
        pytest.param({"QUOTE": "0.00000000", "TAKER_QUOTE": "0"}, id="quote volume that rounds to nothing"),
    ],
)
def test_an_odd_but_possible_row_is_a_candle(cells: dict[str, Any]) -> None:
    candles, rejected = read_kline_rows("ETHBTC", [changed(ETHBTC, **cells)])
    assert (candles.num_rows, rejected.to_pylist()) == (1, [])


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        pytest.param({"OPEN_TIME": 1591478540799}, "off_grid", id="off grid"),
        pytest.param({"OPEN_TIME": 1591478520001}, "off_grid", id="off grid by a millisecond"),
        pytest.param({"OPEN_TIME": 1591478520000001}, "off_grid", id="off grid by a microsecond"),
        pytest.param({"OPEN": "0"}, "impossible_price", id="open of nothing"),
        pytest.param({"LOW": "-1"}, "impossible_price", id="negative low"),
        pytest.param({"CLOSE": "nan", "HIGH": "1"}, "impossible_price", id="close not a number"),
        pytest.param({"HIGH": "inf"}, "impossible_price", id="infinite high"),
        pytest.param({"VOLUME": "inf"}, "impossible_price", id="infinite volume"),
        pytest.param({"HIGH": "0.02500000"}, "impossible_price", id="open above high"),
        pytest.param({"LOW": "0.02501000"}, "impossible_price", id="close below low"),
        pytest.param({"HIGH": "0.01"}, "impossible_price", id="high below low"),
        pytest.param({"VOLUME": "-1", "TAKER": "-2"}, "negative_volume", id="negative volume"),
        pytest.param({"QUOTE": "-1", "TAKER_QUOTE": "-2"}, "negative_volume", id="negative quote volume"),
        pytest.param({"TRADES": -1}, "negative_volume", id="negative trade count"),
        pytest.param({"TAKER": "-1"}, "negative_volume", id="negative taker volume"),
        pytest.param({"TAKER_QUOTE": "-1"}, "negative_volume", id="negative taker quote volume"),
        pytest.param({"TRADES": 2**63 - 1}, "impossible_size", id="trade count near the end of 64 bits"),
        pytest.param({"TRADES": 1_000_000_001}, "impossible_size", id="more trades than a minute can hold"),
        pytest.param({"HIGH": "1e308"}, "impossible_size", id="high near the end of doubles"),
        pytest.param({"VOLUME": "1.1e30"}, "impossible_size", id="volume that products may carry out of doubles"),
        pytest.param({"QUOTE": "1e308"}, "impossible_size", id="quote volume near the end of doubles"),
        pytest.param({"TAKER": "22.19000001"}, "taker_volume_above_volume", id="taker above volume"),
        pytest.param({"TAKER_QUOTE": "0.55490907"}, "taker_volume_above_volume", id="taker above quote volume"),
        pytest.param({"TRADES": 0}, "volume_without_trades", id="volume without trades"),
        pytest.param({"VOLUME": "0", "TAKER": "0"}, "volume_without_trades", id="trades without volume"),
    ],
)
def test_a_row_that_breaks_an_invariant_is_rejected_with_it(cells: dict[str, Any], reason: str) -> None:
    row = changed(ETHBTC, **cells)
    candles, rejected = read_kline_rows("ETHBTC", [BNBBTC, row])
    assert candles["open_time"].to_pylist() == [datetime(2017, 7, 14, 4)]
    assert rejected.to_pylist() == [
        {
            "symbol": "ETHBTC",
            "minute": datetime(2020, 6, 6, 21, 22),
            "raw": orjson.dumps(row).decode(),
            "reason": reason,
        }
    ]


@pytest.mark.parametrize(
    ("row", "minute"),
    [
        pytest.param(changed(ETHBTC, CLOSE=None), datetime(2020, 6, 6, 21, 22), id="no close"),
        pytest.param(changed(ETHBTC, CLOSE="many"), datetime(2020, 6, 6, 21, 22), id="text as close"),
        pytest.param(changed(ETHBTC, CLOSE=""), datetime(2020, 6, 6, 21, 22), id="empty close"),
        pytest.param(changed(ETHBTC, CLOSE=True), datetime(2020, 6, 6, 21, 22), id="truth as close"),
        pytest.param(changed(ETHBTC, TRADES="40.5"), datetime(2020, 6, 6, 21, 22), id="text of a fraction as count"),
        pytest.param(changed(ETHBTC, TRADES=1.5), datetime(2020, 6, 6, 21, 22), id="fraction as trade count"),
        pytest.param(changed(ETHBTC, TRADES=2**63), datetime(2020, 6, 6, 21, 22), id="trade count beyond 64 bits"),
        pytest.param(changed(ETHBTC, CLOSE=None, OPEN_TIME=1591478540799), datetime(2020, 6, 6, 21, 22), id="both"),
        pytest.param([ETHBTC[0], "ETHBTC", *ETHBTC[1:]], datetime(2020, 6, 6, 21, 22), id="a cell in between"),
        pytest.param(ETHBTC[:10], datetime(2020, 6, 6, 21, 22), id="ten cells"),
        pytest.param(changed(ETHBTC, OPEN_TIME=None), None, id="no open time"),
        pytest.param(changed(ETHBTC, OPEN_TIME="1591478520000"), None, id="text as open time"),
        pytest.param(changed(ETHBTC, OPEN_TIME=-60_000), None, id="open time before 1970"),
        pytest.param(changed(ETHBTC, OPEN_TIME=2**62), None, id="open time beyond the calendar"),
        pytest.param(changed(ETHBTC, OPEN_TIME=2**64 - 1), None, id="open time beyond 64 bits"),
        pytest.param([], None, id="empty row"),
        pytest.param(None, None, id="null"),
        pytest.param(7, None, id="number"),
        pytest.param("123456789012", None, id="text of twelve letters"),
        pytest.param({str(i): i for i in range(12)}, None, id="object"),
        pytest.param({"0": ETHBTC[0]}, None, id="object of one"),
    ],
)
def test_an_unreadable_row_is_rejected_and_the_others_stay(row: Any, minute: datetime | None) -> None:
    candles, rejected = read_kline_rows("ETHBTC", [BNBBTC, row, QUIET])
    assert candles["open_time"].to_pylist() == [datetime(2017, 7, 14, 4), datetime(2020, 1, 31, 2)]
    assert rejected.to_pylist() == [
        {"symbol": "ETHBTC", "minute": minute, "raw": orjson.dumps(row).decode(), "reason": "unreadable"}
    ]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param([*ETHBTC, "0"], id="thirteen cells"),
        pytest.param([*ETHBTC[:11]], id="eleven cells"),
        pytest.param([float(cell) if isinstance(cell, str) else cell for cell in ETHBTC], id="numbers"),
        pytest.param(changed(ETHBTC, TRADES=str(ETHBTC[8])), id="text as trade count"),
    ],
)
def test_a_row_in_another_shape_that_loses_nothing_is_read_beside_the_others(row: Any) -> None:
    candles, rejected = read_kline_rows("ETHBTC", [BNBBTC, row, QUIET])
    assert candles.equals(read_kline_rows("ETHBTC", [BNBBTC, ETHBTC, QUIET]).candles)
    assert not rejected.num_rows


def test_an_off_grid_row_beside_one_of_its_minute_leaves_that_one() -> None:
    candles, rejected = read_kline_rows("ETHBTC", [ETHBTC, changed(ETHBTC, OPEN_TIME=ETHBTC[0] + 20_799)])
    assert candles["open_time"].to_pylist() == [datetime(2020, 6, 6, 21, 22)]
    assert rejected["minute"].to_pylist() == [datetime(2020, 6, 6, 21, 22)]


def test_the_first_broken_rule_is_the_reason() -> None:
    row = changed(ETHBTC, OPEN_TIME=ETHBTC[0] + 1, LOW="-1", VOLUME="-1", TRADES=0)
    assert read_kline_rows("ETHBTC", [row]).rejected["reason"].to_pylist() == ["off_grid"]
    assert read_kline_rows("ETHBTC", [changed(row, OPEN_TIME=ETHBTC[0])]).rejected["reason"].to_pylist() == [
        "impossible_price"
    ]


_CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(0, 2 * 10**12).map(lambda minute: minute // 60_000 * 60_000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
    st.sampled_from(["0.00000000", "1.00000000", "2.5", "-1", "nan", "inf", "1e400", "0"]),
    st.lists(st.integers(0, 9), max_size=2),
)
_GOOD = st.integers(0, 30_000_000).map(lambda minute: changed(ETHBTC, OPEN_TIME=minute * 60_000))
_ROWS = st.one_of(
    _GOOD,
    st.tuples(_GOOD, st.integers(0, 11), _CELLS).map(lambda t: [*t[0][: t[1]], t[2], *t[0][t[1] + 1 :]]),
    st.lists(_CELLS, max_size=13),
    _CELLS,
    st.dictionaries(st.text(max_size=3), _CELLS, max_size=12),
)


@given(st.lists(_ROWS, max_size=8))
def test_any_json_rows_are_candles_or_rejected_and_none_is_lost(rows: list[Any]) -> None:
    received = orjson.loads(orjson.dumps(rows))
    candles, rejected = read_kline_rows("ABC", received)
    assert candles.num_rows + rejected.num_rows == len(received)
    assert candles.schema == CANDLE_SCHEMA
    assert rejected.schema == REJECTED_SCHEMA
    assert all(candles[name].null_count == 0 for name in candles.column_names)
    assert sorted(rejected["raw"].to_pylist()) == sorted(
        orjson.dumps(row).decode() for row in received if read_kline_rows("ABC", [row]).rejected.num_rows
    )


@pytest.mark.parametrize(
    "minutes",
    [
        pytest.param([1, 1], id="twice"),
        pytest.param([2, 1], id="reversed"),
        pytest.param([1, 2, 3, 3], id="at the end"),
    ],
)
def test_require_ascending_refuses_disorder(minutes: list[int]) -> None:
    times = pa.chunked_array([minutes[:1], minutes[1:]], pa.timestamp("us"))
    with pytest.raises(BadResponseError, match=r"^The page holds candles out of order or twice; nothing of it"):
        require_ascending(times, "The page")


@pytest.mark.parametrize("minutes", [[], [1], [1, 2], [1, 5, 9]], ids=str)
def test_require_ascending_passes_order(minutes: list[int]) -> None:
    require_ascending(pa.chunked_array([minutes], pa.timestamp("us")), "The page")
