"""Derived candles, filled candles and coverage, against plain Python."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import define_all
from tests.support.recordings import Recordings
from threadx_duck.storage.sqlfiles import list_sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

utc = datetime.fromisoformat  # naive, as the store holds it
MINUTE = timedelta(minutes=1)
MONDAY = utc("2000-01-03")
START = utc("2024-02-28 22:00")  # a Wednesday; February, the week and three days end soon after
WIDTHS = {
    "3m": timedelta(minutes=3),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "2h": timedelta(hours=2),
    "3h": timedelta(hours=3),
    "4h": timedelta(hours=4),
    "6h": timedelta(hours=6),
    "8h": timedelta(hours=8),
    "12h": timedelta(hours=12),
    "1d": timedelta(days=1),
    "3d": timedelta(days=3),
    "1w": timedelta(weeks=1),
    "1mo": None,
}


class Candle(NamedTuple):
    symbol: str
    open_time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None
    trade_count: int | None
    taker_buy_volume: float | None
    taker_buy_quote_volume: float | None
    request_id: int = 1


class Bucket(NamedTuple):
    opens: Callable[[datetime], datetime]
    closes: Callable[[datetime], datetime]


def fixed(width: timedelta, offset: timedelta = timedelta()) -> Bucket:
    grid = MONDAY + offset
    return Bucket(lambda time: grid + (time - grid) // width * width, lambda opens: opens + width)


def monthly() -> Bucket:
    first = {"day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0}
    return Bucket(lambda time: time.replace(**first), lambda opens: (opens + timedelta(days=31)).replace(**first))


BUCKETS = {name: fixed(width) if width else monthly() for name, width in WIDTHS.items()}


def roll_up(candles: Iterable[Candle], bucket: Bucket) -> list[tuple[Any, ...]]:
    groups: dict[tuple[str, datetime], list[Candle]] = defaultdict(list)
    for candle in sorted(candles):
        groups[candle.symbol, bucket.opens(candle.open_time)].append(candle)
    rows = []
    for (symbol, opens), group in sorted(groups.items()):
        traded = [candle for candle in group if candle.volume > 0]
        close = (traded or group)[-1].close
        sums = [
            None if None in values else sum(values) for values in zip(*(candle[6:11] for candle in group), strict=True)
        ]
        rows.append(
            (
                symbol,
                opens,
                traded[0].open if traded else close,
                max((candle.high for candle in traded), default=close),
                min((candle.low for candle in traded), default=close),
                close,
                *sums,
                len(group),
                expected := (bucket.closes(opens) - opens) // MINUTE,
                len(group) == expected,
            )
        )
    return rows


def fill(candles: list[Candle], max_gap: timedelta) -> list[Candle]:
    filled = list(candles)
    ordered = sorted(candles)
    for before, after in pairwise(ordered):
        first = before.open_time + MINUTE
        if before.symbol == after.symbol and after.open_time - first <= max_gap:
            flat = [before.close] * 4
            filled += [
                Candle(before.symbol, first + i * MINUTE, *flat, 0, 0, 0, 0, 0, 0)  # type: ignore[call-arg]
                for i in range((after.open_time - first) // MINUTE)
            ]
    return filled


def replace_candles(database: duckdb.DuckDBPyConnection, candles: list[Candle]) -> None:
    database.execute("delete from candles_1m")
    columns = zip(*candles, strict=True)
    types = [
        pa.string(),
        pa.timestamp("us"),
        *[pa.float64()] * 6,
        pa.int64(),
        *[pa.float64()] * 2,
        pa.int64(),
    ]
    batch = pa.table(
        {name: pa.array(column, kind) for name, column, kind in zip(Candle._fields, columns, types, strict=True)}
    )
    database.register("batch", batch)
    database.execute("insert into candles_1m by name select * from batch")
    database.unregister("batch")


def select(database: duckdb.DuckDBPyConnection, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    return database.execute(f"select * from {query} order by symbol, open_time", parameters).fetchall()


def make_candles(start: datetime, minutes: int, symbol: str = "BTCUSDC", seed: int = 7) -> list[Candle]:
    chance = random.Random(seed)
    candles = []
    for i in range(minutes):
        low, open_, close, high = sorted(chance.randint(1, 500) for _ in range(4))
        volume = chance.choice([0, 1, 5])
        candles.append(
            Candle(symbol, start + i * MINUTE, open_, high, low, close, volume, volume * 9, volume * 2, 1, 2)
        )
    return candles


@st.composite
def random_candles(draw: st.DrawFn) -> list[Candle]:
    near, far = st.integers(0, 400), st.integers(0, 60 * 24 * 40)
    price, amount = st.integers(1, 99), st.integers(0, 2)
    optional = st.none() | amount if draw(st.booleans()) else amount
    return [
        Candle(symbol, START + minute * MINUTE, *draw(st.tuples(price, price, price, price, amount)),
               *draw(st.tuples(optional, optional, optional, optional)))
        for symbol in draw(st.sampled_from([["A"], ["A", "B"]]))
        for minute in draw(st.lists(near | far, min_size=1, max_size=40, unique=True))
    ]  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(candles=random_candles())
def test_views_equal_a_plain_roll_up(shared_database: duckdb.DuckDBPyConnection, candles: list[Candle]) -> None:
    replace_candles(shared_database, candles)
    for timeframe, bucket in BUCKETS.items():
        assert select(shared_database, f"candles_{timeframe}") == roll_up(candles, bucket), timeframe


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    candles=random_candles(),
    timeframe=st.sampled_from(sorted(WIDTHS)),
    start=st.integers(-100, 60 * 24 * 40),
    minutes=st.integers(0, 60 * 24 * 20),
    offset=st.integers(-3, 3),
    symbol=st.sampled_from(["A", "B", None]),
)
def test_candles_macro_equals_a_plain_roll_up_of_the_buckets_that_open_in_the_range(
    shared_database: duckdb.DuckDBPyConnection,
    candles: list[Candle],
    timeframe: str,
    start: int,
    minutes: int,
    offset: int,
    symbol: str | None,
) -> None:
    replace_candles(shared_database, candles)
    width = WIDTHS[timeframe]
    shift = timedelta(days=offset) if width else timedelta()
    bucket = fixed(width, shift) if width else monthly()
    first = START + start * MINUTE
    end = first + minutes * MINUTE
    text = f"{width // MINUTE} minutes" if width else "1 month"
    rows = select(
        shared_database,
        "candles(?, ?, ?, ?, offset_by := ?)",
        [symbol, text, first, end, f"{shift.days} days"],
    )
    expected = [row for row in roll_up(candles, bucket) if first <= row[1] < end and symbol in (None, row[0])]
    assert rows == expected


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    candles=random_candles(),
    timeframe=st.sampled_from(["1m", "5m", "1h", "1d", "1mo"]),
    start=st.integers(-100, 700),
    minutes=st.integers(0, 3000),
    max_gap=st.sampled_from([0, 1, 5, 240]),
    symbol=st.sampled_from(["A", "B", None]),
)
def test_candles_filled_equals_a_plain_roll_up_of_plainly_filled_minutes(
    shared_database: duckdb.DuckDBPyConnection,
    candles: list[Candle],
    timeframe: str,
    start: int,
    minutes: int,
    max_gap: int,
    symbol: str | None,
) -> None:
    replace_candles(shared_database, candles)
    width = MINUTE if timeframe == "1m" else WIDTHS[timeframe]
    bucket = fixed(width) if width else monthly()
    first = START + start * MINUTE
    end = first + minutes * MINUTE
    text = f"{width // MINUTE} minutes" if width else "1 month"
    rows = select(
        shared_database,
        "candles_filled(?, ?, ?, ?, max_gap := ?)",
        [symbol, text, first, end, timedelta(minutes=max_gap)],
    )
    filled = fill(candles, max_gap * MINUTE)
    real = {row[:2]: row[11] for row in roll_up(candles, bucket)}
    expected = [
        (*row, row[11] - real.get(row[:2], 0))
        for row in roll_up(filled, bucket)
        if first <= row[1] < end and symbol in (None, row[0])
    ]
    assert rows == expected


def test_week_view_opens_on_monday(database: duckdb.DuckDBPyConnection) -> None:
    replace_candles(database, make_candles(utc("2024-03-03 23:58"), 4))
    opens = [row[1] for row in select(database, "candles_1w")]
    assert opens == [utc("2024-02-26"), utc("2024-03-04")]


def test_month_view_opens_on_the_first_and_expects_the_month(database: duckdb.DuckDBPyConnection) -> None:
    replace_candles(database, make_candles(utc("2024-02-29 23:58"), 4))
    rows = [(row[1], row[12]) for row in select(database, "candles_1mo")]
    assert rows == [(utc("2024-02-01"), 29 * 1440), (utc("2024-03-01"), 31 * 1440)]


def test_view_of_minutes_without_trades_is_flat_at_the_last_close(
    database: duckdb.DuckDBPyConnection,
) -> None:
    replace_candles(
        database,
        [
            Candle("A", START, 5, 9, 1, 3, 0, 0, 0, 0, 0),
            Candle("A", START + MINUTE, 6, 8, 2, 4, 0, 0, 0, 0, 0),
        ],
    )
    assert select(database, "candles_5m")[0][2:6] == (4, 4, 4, 4)


def test_view_sums_with_an_unknown_summand_are_unknown(database: duckdb.DuckDBPyConnection) -> None:
    candles = make_candles(START, 4)
    replace_candles(database, [*candles[:3], candles[3]._replace(quote_volume=None, trade_count=None)])
    row = select(database, "candles_5m")[0]
    assert row[7:9] == (None, None)
    assert None not in row[9:11]


def test_view_columns_have_the_types_of_candles_1m(database: duckdb.DuckDBPyConnection) -> None:
    types = {row[0]: row[1] for row in database.execute("describe candles_1m").fetchall()}
    derived = {row[0]: row[1] for row in database.execute("describe candles_1mo").fetchall()}
    counts = {"minutes": "BIGINT", "expected_minutes": "BIGINT", "is_complete": "BOOLEAN"}
    del types["request_id"]
    assert derived == types | counts


@pytest.mark.parametrize("macro", ["candles", "candles_filled"])
def test_macro_columns_have_the_types_of_the_views(macro: str, database: duckdb.DuckDBPyConnection) -> None:
    view = {row[0]: row[1] for row in database.execute("describe candles_1h").fetchall()}
    query = f"describe from {macro}('A', '1 hour', '2024-01-01', '2024-01-02')"
    types = {row[0]: row[1] for row in database.execute(query).fetchall()}
    assert {name: types[name] for name in view} == view
    assert set(types) - set(view) <= {"filled_minutes"}


def test_candles_macro_takes_text_and_bound_values_alike(database: duckdb.DuckDBPyConnection) -> None:
    replace_candles(database, make_candles(START, 300))
    bound = [None, timedelta(hours=1), START, START + timedelta(hours=2)]
    text = "candles('BTCUSDC', '1 hour', '2024-02-28 22:00', '2024-02-29')"
    assert len(select(database, text)) == 2
    assert select(database, text) == select(database, "candles(?, ?, ?, ?)", bound)


def test_candles_macro_leaves_out_a_bucket_that_opens_before_the_range(
    database: duckdb.DuckDBPyConnection,
) -> None:
    replace_candles(database, make_candles(START, 240))
    rows = select(database, "candles('BTCUSDC', '1 hour', '2024-02-28 22:01', '2024-02-29 00:01')")
    assert [(row[1].hour, row[13]) for row in rows] == [(23, True), (0, True)]


@pytest.mark.parametrize("limit", [9, 10], ids=["longer", "as-long"])
def test_candles_filled_measures_a_gap_beyond_the_range(limit: int, database: duckdb.DuckDBPyConnection) -> None:
    candles = make_candles(START, 20)
    replace_candles(database, [*candles[:5], *candles[15:]])
    rows = select(
        database,
        "candles_filled('BTCUSDC', '1 minute', ?, ?, max_gap := ?)",
        [START + 8 * MINUTE, START + 10 * MINUTE, limit * MINUTE],
    )
    flat = (*[candles[4].close] * 4, 0, 0, 0, 0, 0, 1, 1, True, 1)
    filled = [("BTCUSDC", START + minute * MINUTE, *flat) for minute in (8, 9)]
    assert rows == (filled if limit == 10 else [])


def test_coverage_counts_from_the_first_to_the_last_candle(database: duckdb.DuckDBPyConnection) -> None:
    candles = make_candles(START, 10)
    replace_candles(database, [*candles[:3], *candles[5:], *make_candles(START, 1, "ETHUSDC")])
    rows = database.execute("select * from coverage order by symbol").fetchall()
    assert rows == [
        ("BTCUSDC", START, START + 9 * MINUTE, 8, 10, 2),
        ("ETHUSDC", START, START, 1, 1, 0),
    ]


def test_views_answer_through_an_attached_file(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    with duckdb.connect(path, config={"storage_compatibility_version": "v1.0.0"}) as store:
        define_all(store)
        candles = make_candles(START, 300)
        replace_candles(store, [*candles[:30], *candles[40:]])
        views = [file.relation for file in list_sql("views")]
        expected = {view: store.execute(f"from {view} order by all").fetchall() for view in views}
        macro = select(store, "candles_filled(null, '1 hour', '2024-02-28', '2024-03-01')")
    with duckdb.connect() as reader:
        reader.execute(f"attach '{path}' as m (read_only)")
        assert {view: reader.execute(f"from m.{view} order by all").fetchall() for view in views} == expected
        reader.execute("use m")
        assert select(reader, "candles_filled(null, '1 hour', '2024-02-28', '2024-03-01')") == macro


@pytest.mark.parametrize(
    ("symbol", "buckets", "equal"),
    [
        ("ADABTC", 37300, 37295),
        ("BTCUSDT", 53628, 53618),
        ("DOGEUSDT", 43201, 43194),
        ("ETHUSDT", 34586, 34580),
        ("NXSBTC", 19967, 19961),
        ("SUSHIBTC", 8638, 8638),
        ("WAVESBTC", 18889, 18889),
    ],
)
def test_five_minute_view_equals_the_exchange_on_real_candles(
    symbol: str, buckets: int, equal: int, real_database: duckdb.DuckDBPyConnection, recordings: Recordings
) -> None:
    compared = real_database.execute(
        """
        select count(*), count(*) filter (where is_equal)
        from compared
        where symbol = ? and timeframe = '5m' and is_complete
        """,
        [symbol],
    ).fetchone()
    assert compared is not None
    if recordings.is_whole:
        assert compared[0] == buckets
        assert compared[1] >= equal
    else:
        assert compared == SMALL_BUCKETS[symbol]


@pytest.mark.parametrize("timeframe", ["15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w"])
def test_view_equals_the_exchange_on_real_candles(
    timeframe: str, real_database: duckdb.DuckDBPyConnection, recordings: Recordings
) -> None:
    if timeframe == "1w" and not recordings.is_whole:
        pytest.skip("the small set holds no whole week")
    # The exchange restated two mornings between the two recordings.
    restated = {utc("2021-04-22"), utc("2021-04-23")} if timeframe in ("1h", "2h") else set()
    rows = real_database.execute(
        "select is_equal, date_trunc('day', open_time) from compared where timeframe = ? and is_complete",
        [timeframe],
    ).fetchall()
    assert len(rows) > recordings.expect(small=0, whole=40)
    assert {day for is_equal, day in rows if not is_equal} <= restated
    assert sum(not is_equal for is_equal, _ in rows) <= 4


@pytest.mark.parametrize("timeframe", ["1h", "2h", "4h", "6h", "8h", "12h", "1d"])
def test_view_equals_the_exchange_also_in_a_real_outage(
    timeframe: str, real_database: duckdb.DuckDBPyConnection
) -> None:
    rows = real_database.execute(
        """
        select is_equal
        from compared
        where timeframe = ? and not is_complete
            and open_time >= timestamp '2021-04-25' and open_time < timestamp '2021-04-26'
        """,
        [timeframe],
    ).fetchall()
    assert rows
    assert {is_equal for (is_equal,) in rows} == {True}


SMALL_BUCKETS = {
    "ADABTC": (489, 489),
    "BTCUSDT": (1_049, 1_049),
    "DOGEUSDT": (761, 761),
    "ETHUSDT": (761, 761),
    "NXSBTC": (489, 489),
    "SUSHIBTC": (576, 576),
    "WAVESBTC": (576, 576),
}


@pytest.fixture(scope="module")
def real_database(recordings: Recordings) -> Iterator[duckdb.DuckDBPyConnection]:
    """The recorded candles, and the table ``compared`` of our buckets beside the exchange's own."""
    with duckdb.connect() as connection:
        define_all(connection)
        connection.execute(f"insert into candles_1m by name select *, 1 as request_id from '{recordings.candles}'")
        ours = " union all ".join(
            f"select '{timeframe}' as timeframe, * from candles_{timeframe}" for timeframe in WIDTHS
        )
        connection.execute(
            f"""
            create table compared as
            select
                ours.symbol,
                ours.timeframe,
                ours.open_time,
                ours.is_complete,
                (ours.open, ours.high, ours.low, ours.close)
                    = (theirs.open, theirs.high, theirs.low, theirs.close) as is_equal,
            from ({ours}) as ours
            join '{recordings.natives}' as theirs using (symbol, timeframe, open_time)
            """
        )
        yield connection
