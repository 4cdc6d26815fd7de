"""Every file of ``sql/checks/``: silent on a clean store, and exactly the planted fault on a broken one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.recordings import Recordings
from threadx_duck.storage.sqlfiles import SqlFile, list_sql, read_sql

if TYPE_CHECKING:
    import duckdb

utc = datetime.fromisoformat  # naive, as the store holds it
START = utc("2024-02-29 22:00")
CHECKS = list_sql("checks")


class Fault(NamedTuple):
    check: str
    plant: str  # statements that break the clean store
    rows: list[tuple[object, ...]]  # what the check then returns, symbol and open_time first


def minute(number: int) -> datetime:
    return START + timedelta(minutes=number)


def value_fault(check: str, assignment: str, evidence: tuple[object, ...]) -> Fault:
    """A candle with one wrong value; the check's row ends in the request that brought it."""
    plant = f"update candles_1m set {assignment} where symbol = 'BTCUSDC' and open_time = '{minute(7)}'"
    return Fault(check, plant, [("BTCUSDC", minute(7), *evidence, 1)])


# The candle of every minute of the clean store: open 10, high 12, low 8, close 11, volume 2 for 20, of which
# takers bought 1 for 9, in 3 trades. Requests 1 and 2 are of BTCUSDC, 3 of ETHUSDC.
FAULTS = {
    "again in the same request": Fault(
        "duplicate_candle",
        f"""
        insert into candles_1m
        select * from candles_1m where symbol = 'BTCUSDC' and open_time = '{minute(7)}'
        """,
        [("BTCUSDC", minute(7), 2, 1, 1)],
    ),
    "again while another minute is absent": Fault(
        "duplicate_candle",
        f"""
        insert into candles_1m
        select * replace (2 as request_id) from candles_1m
        where symbol = 'BTCUSDC' and open_time = '{minute(7)}';
        delete from candles_1m where symbol = 'BTCUSDC' and open_time = '{minute(8)}'
        """,
        [("BTCUSDC", minute(7), 2, 1, 2)],
    ),
    "seven seconds late": Fault(
        "off_grid_open_time",
        f"""
        update candles_1m set open_time = open_time + interval 7 second
        where symbol = 'BTCUSDC' and open_time = '{minute(7)}'
        """,
        [("BTCUSDC", minute(7) + timedelta(seconds=7), minute(7), 1)],
    ),
    "a microsecond late": Fault(
        "off_grid_open_time",
        f"""
        update candles_1m set open_time = open_time + interval 1 microsecond
        where symbol = 'BTCUSDC' and open_time = '{minute(7)}'
        """,
        [("BTCUSDC", minute(7) + timedelta(microseconds=1), minute(7), 1)],
    ),
    "high below low": value_fault("impossible_price", "high = 7", (10, 7, 8, 11)),
    "open above high": value_fault("impossible_price", "open = 13", (13, 12, 8, 11)),
    "open below low": value_fault("impossible_price", "open = 7", (7, 12, 8, 11)),
    "close above high": value_fault("impossible_price", "close = 13", (10, 12, 8, 13)),
    "close below low": value_fault("impossible_price", "close = 7", (10, 12, 8, 7)),
    "low zero": value_fault("impossible_price", "low = 0", (10, 12, 0, 11)),
    "low negative": value_fault("impossible_price", "low = -1", (10, 12, -1, 11)),
    "high infinite": value_fault("impossible_price", "high = 'infinity'", (10, float("inf"), 8, 11)),
    "volume negative": value_fault("negative_volume", "volume = -1", (-1, 20, 3, 1, 9)),
    "volume infinite": value_fault("negative_volume", "volume = 'infinity'", (float("inf"), 20, 3, 1, 9)),
    "quote volume negative": value_fault("negative_volume", "quote_volume = -1", (2, -1, 3, 1, 9)),
    "trade count negative": value_fault("negative_volume", "trade_count = -1", (2, 20, -1, 1, 9)),
    "taker volume negative": value_fault("negative_volume", "taker_buy_volume = -1", (2, 20, 3, -1, 9)),
    "taker quote volume negative": value_fault("negative_volume", "taker_buy_quote_volume = -1", (2, 20, 3, 1, -1)),
    "volume negative, the rest unknown": value_fault(
        "negative_volume",
        """volume = -1, quote_volume = null, trade_count = null,
        taker_buy_volume = null, taker_buy_quote_volume = null""",
        (-1, None, None, None, None),
    ),
    "too many trades": value_fault("impossible_size", f"trade_count = {2**62}", (12, 2, 20, 2**62, 1, 9)),
    "one trade too many": value_fault("impossible_size", "trade_count = 1000000001", (12, 2, 20, 1_000_000_001, 1, 9)),
    "high near the end of doubles": value_fault("impossible_size", "high = 1e308", (1e308, 2, 20, 3, 1, 9)),
    "volume near the end of doubles, the rest unknown": value_fault(
        "impossible_size",
        "volume = 1e308, quote_volume = null, trade_count = null, taker_buy_volume = null",
        (12, 1e308, None, None, None, 9),
    ),
    "taker above base": value_fault(
        "taker_volume_above_volume", "taker_buy_volume = 2.00000001", (2, 2.00000001, 20, 9)
    ),
    "taker above quote": value_fault("taker_volume_above_volume", "taker_buy_quote_volume = 21", (2, 1, 20, 21)),
    "no trades": value_fault("volume_without_trades", "trade_count = 0", (2, 0)),
    "no volume": value_fault("trades_without_volume", "volume = 0", (0, 3)),
    "average above high": value_fault(
        "quote_volume_outside_prices", "quote_volume = 24.0000001", (8, 12, 2, 24.0000001, 3)
    ),
    "average below low": value_fault(
        "quote_volume_outside_prices", "quote_volume = 15.9999999", (8, 12, 2, 15.9999999, 3)
    ),
    "asked within the minute": Fault(
        "candle_not_closed",
        "update requests set requested_at = requested_at - interval 1 second where request_id = 2",
        [("BTCUSDC", minute(179), minute(179) + timedelta(seconds=59), 2)],
    ),
    "request unknown": Fault(
        "candle_without_request",
        f"update candles_1m set request_id = 99 where symbol = 'BTCUSDC' and open_time = '{minute(7)}'",
        [("BTCUSDC", minute(7), 99)],
    ),
    "request of another symbol": Fault(
        "candle_without_request",
        f"update candles_1m set request_id = 3 where symbol = 'BTCUSDC' and open_time = '{minute(7)}'",
        [("BTCUSDC", minute(7), 3)],
    ),
    "candle deleted": Fault(
        "lost_candle",
        f"delete from candles_1m where symbol = 'BTCUSDC' and open_time = '{minute(7)}'",
        [("BTCUSDC", minute(0), 1, 118, 117, 1)],
    ),
    "every candle deleted": Fault(
        "lost_candle",
        "delete from candles_1m where symbol = 'ETHUSDC'",
        [("ETHUSDC", minute(0), 3, 176, 0, 176), ("ETHUSDC", minute(30), 5, 1, 0, 1)],
    ),
    "never downloaded": Fault(
        "unexplained_gap",
        f"""
        delete from candles_1m where symbol = 'BTCUSDC' and open_time in ('{minute(7)}', '{minute(8)}');
        update requests set range_start = '{minute(8)}' where request_id = 1
        """,
        [("BTCUSDC", minute(7), minute(8), 1, "not_downloaded")],
    ),
    "rejected": Fault(
        "unexplained_gap",
        f"""
        delete from candles_1m where symbol = 'BTCUSDC' and open_time = '{minute(7)}';
        insert into rejected_rows values ('BTCUSDC', '{minute(7)}', '[]', 'open is above high', 1)
        """,
        [("BTCUSDC", minute(7), minute(8), 1, "rejected")],
    ),
    "number used twice": Fault(
        "duplicate_request",
        f"""
        insert into requests select * replace ('import' as source, '{minute(3)}' as range_start)
        from requests where request_id = 3
        """,
        [
            ("ETHUSDC", minute(0), 3, "rest", utc("2024-03-02"), "https://x"),
            ("ETHUSDC", minute(3), 3, "import", utc("2024-03-02"), "https://x"),
        ],
    ),
}


CLEAN = f"""
    insert into candles_1m
    select
        symbol, '{START}'::timestamp + minute * interval 1 minute, 10, 12, 8, 11, 2, 20, 3, 1, 9, request_id
    from range(180) as minutes(minute)
    cross join (values ('BTCUSDC', 1, 0, 120), ('BTCUSDC', 2, 120, 180), ('ETHUSDC', 3, 0, 180))
        as asked(symbol, request_id, range_start, range_end)
    where minute >= range_start and minute < range_end and minute not in (60, 61);

    insert into requests
    select
        request_id, symbol, timeframe, 'rest', range_start, range_end, 1, 'https://x', '',
        rows_added + rows_revised, rows_added, rows_revised, 0, requested_at, 1
    from (values
        (1, 'BTCUSDC', '1m', '{minute(0)}', '{minute(120)}', 118, 0, '2024-03-02'),
        (2, 'BTCUSDC', '1m', '{minute(120)}', '{minute(180)}', 60, 0, '{minute(180)}'),
        (3, 'ETHUSDC', '1m', '{minute(0)}', '{minute(180)}', 178, 0, '2024-03-02'),
        (4, 'ETHUSDC', '1d', '{minute(0)}', '{minute(180)}', 1, 0, '2024-03-02'),
        (5, 'ETHUSDC', '1m', '{minute(30)}', '{minute(32)}', 0, 2, '2024-03-03')
    ) as ledger(
        request_id, symbol, timeframe, range_start, range_end, rows_added, rows_revised, requested_at
    );

    -- Request 5 changed one minute and removed the next; an import wanted to change a third.
    insert into revisions by name
    select
        symbol, open_time, 9 as old_open, request_id as old_request_id, 5 as new_request_id, true as applied,
        case when open_time = '{minute(30)}' then open end as new_open,
        '2024-03-03'::timestamp as revised_at,
    from candles_1m where symbol = 'ETHUSDC' and open_time in ('{minute(30)}', '{minute(31)}')
    union all by name
    select
        symbol, open_time, 10 as old_open, request_id as old_request_id, 6 as new_request_id,
        false as applied, 11 as new_open, '2024-03-04'::timestamp as revised_at,
    from candles_1m where symbol = 'ETHUSDC' and open_time = '{minute(32)}';
    update candles_1m set request_id = 5 where symbol = 'ETHUSDC' and open_time = '{minute(30)}';
    delete from candles_1m where symbol = 'ETHUSDC' and open_time = '{minute(31)}';

    update candles_1m
    set open = 11, high = 11, low = 11, volume = 0, quote_volume = 0, trade_count = 0, taker_buy_volume = 0,
        taker_buy_quote_volume = 0
    where open_time = '{minute(50)}';
    update candles_1m
    set quote_volume = null, trade_count = null, taker_buy_volume = null, taker_buy_quote_volume = null
    where open_time = '{minute(55)}';
"""


@pytest.fixture
def clean(database: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Three hours of two symbols, with an outage, revisions, a minute without trades and unknown values."""
    database.execute(CLEAN)
    return database


def run(database: duckdb.DuckDBPyConnection, check: str) -> list[tuple[object, ...]]:
    return database.execute(f"from ({read_sql(f'checks/{check}').statement}) order by all").fetchall()


def test_every_check_has_a_planted_fault() -> None:
    assert {fault.check for fault in FAULTS.values()} == {file.relation for file in CHECKS}


@pytest.mark.slow
@pytest.mark.parametrize("file", CHECKS, ids=lambda file: file.relation)
def test_check_of_a_clean_store_returns_nothing(file: SqlFile, clean: duckdb.DuckDBPyConnection) -> None:
    assert run(clean, file.relation) == []


@pytest.mark.slow
@pytest.mark.parametrize("file", CHECKS, ids=lambda file: file.relation)
def test_check_of_an_empty_store_returns_nothing(file: SqlFile, database: duckdb.DuckDBPyConnection) -> None:
    assert run(database, file.relation) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", [pytest.param(fault, id=name) for name, fault in FAULTS.items()])
def test_check_returns_exactly_the_planted_fault(fault: Fault, clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute(fault.plant)
    assert run(clean, fault.check) == fault.rows


@pytest.mark.parametrize(
    ("check", "column"),
    [("impossible_price", column) for column in ("open", "high", "low", "close")]
    + [
        ("negative_volume", column)
        for column in ("volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume")
    ],
)
def test_check_finds_a_value_that_is_not_a_number(check: str, column: str, clean: duckdb.DuckDBPyConnection) -> None:
    clean.execute(f"update candles_1m set {column} = 'nan' where open_time = ?", [minute(7)])
    assert [row[:2] for row in run(clean, check)] == [("BTCUSDC", minute(7)), ("ETHUSDC", minute(7))]


@pytest.mark.parametrize(
    "check",
    [
        "duplicate_candle",
        "impossible_price",
        "impossible_size",
        "negative_volume",
        "off_grid_open_time",
        "quote_volume_outside_prices",
        "taker_volume_above_volume",
        "trades_without_volume",
        "volume_without_trades",
    ],
)
def test_check_of_real_candles_returns_nothing(
    check: str, database: duckdb.DuckDBPyConnection, recordings: Recordings
) -> None:
    database.execute(f"insert into candles_1m by name select *, 1 as request_id from '{recordings.candles}'")
    assert run(database, check) == []
