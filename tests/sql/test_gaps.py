"""The view ``gaps``, against a minute-by-minute Python reading of its rules and in named cases."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.recordings import Recordings

utc = datetime.fromisoformat  # naive, as the store holds it
MINUTE = timedelta(minutes=1)
START = utc("2024-02-29 23:40")  # so that 40 minutes cross a day, and a month
SYMBOLS = ("A", "B", "C", "D")


@dataclass
class Store:
    """Minutes count from `START`; ranges are half-open."""

    candles: dict[str, set[int]]
    asked: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    rejected: dict[str, set[int]] = field(default_factory=dict)


def minutes(*ranges: tuple[int, int]) -> set[int]:
    return {minute for start, end in ranges for minute in range(start, end)}


def asked_throughout(candles: dict[str, set[int]]) -> Store:
    return Store(candles, {symbol: [(min(own), max(own) + 1)] for symbol, own in candles.items()})


def time(minute: int) -> datetime:
    return START + minute * MINUTE


def insert(
    database: duckdb.DuckDBPyConnection, statement: str, names: list[str], rows: Iterable[tuple[object, ...]]
) -> None:
    if columns := list(zip(*rows, strict=True)):
        database.register("batch", pa.table(columns, names))
        database.execute(statement)
        database.unregister("batch")


def fill(database: duckdb.DuckDBPyConnection, store: Store) -> None:
    database.execute("delete from candles_1m; delete from requests; delete from rejected_rows")
    insert(
        database,
        "insert into candles_1m select symbol, open_time, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 from batch",
        ["symbol", "open_time"],
        [(symbol, time(minute)) for symbol, own in store.candles.items() for minute in own],
    )
    insert(
        database,
        """
        insert into requests
        select 1, symbol, '1m', 'rest', range_start, range_end, 1, '', '', 1, 1, 0, 0, range_end, 1
        from batch
        """,
        ["symbol", "range_start", "range_end"],
        [(symbol, time(start), time(end)) for symbol, ranges in store.asked.items() for start, end in ranges],
    )
    insert(
        database,
        "insert into rejected_rows select symbol, minute, '[]', 'off the grid', 1 from batch",
        ["symbol", "minute"],
        [(symbol, time(minute)) for symbol, own in store.rejected.items() for minute in own],
    )


def gaps_of(database: duckdb.DuckDBPyConnection, store: Store) -> list[tuple[object, ...]]:
    fill(database, store)
    return database.execute("select * from gaps order by symbol, gap_start").fetchall()


def reasons_of(database: duckdb.DuckDBPyConnection, store: Store) -> list[tuple[object, ...]]:
    """Symbol, first and last minute after it, and reason of each gap; minutes count from `START`."""
    return [
        (symbol, (start - START) // MINUTE, (end - START) // MINUTE, reason)
        for symbol, start, end, _, reason, _, _ in gaps_of(database, store)
    ]


def expected_gaps(store: Store) -> list[tuple[object, ...]]:
    listed = {symbol: range(min(own), max(own) + 1) for symbol, own in store.candles.items() if own}

    def is_asked(symbol: str, minute: int) -> bool:
        return any(start <= minute < end for start, end in store.asked.get(symbol, []))

    counts = {}
    for minute in sorted({minute for life in listed.values() for minute in life}):
        asked = [symbol for symbol, life in listed.items() if minute in life and is_asked(symbol, minute)]
        counts[minute] = len(asked), sum(minute not in store.candles[symbol] for symbol in asked)
    outages = outage_minutes(counts)

    def reason(symbol: str, minute: int) -> str:
        if not is_asked(symbol, minute):
            return "not_downloaded"
        if minute in store.rejected.get(symbol, set()):
            return "rejected"
        return "outage" if minute in outages else "not_published"

    rows: list[tuple[object, ...]] = []
    for symbol, life in sorted(listed.items()):
        for absent in runs_of(set(life) - store.candles[symbol]):
            reasons = [(reason(symbol, minute), minute) for minute in absent]
            for why, pairs in groupby(reasons, itemgetter(0)):
                run = [minute for _, minute in pairs]
                rows.append((symbol, time(run[0]), time(run[-1] + 1), len(run), why, *counts[run[0]]))
    return rows


def outage_minutes(counts: dict[int, tuple[int, int]]) -> set[int]:
    lacking = {minute for minute, (asked, absent) in counts.items() if asked >= 2 and 10 * absent >= 9 * asked}
    return {minute for run in runs_of(lacking) if len(run) <= 72 * 60 for minute in run}


def runs_of(chosen: set[int]) -> list[list[int]]:
    ordered = sorted(chosen)
    return [[minute for _, minute in run] for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]


@st.composite
def random_stores(draw: st.DrawFn) -> Store:
    """Forty minutes of up to four symbols, with absences that several share and some of their own."""
    last = 40
    a_range = st.tuples(st.integers(0, last), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair)))
    shared = draw(st.lists(a_range, max_size=3))
    store = Store({})
    for symbol in SYMBOLS[: draw(st.integers(1, 4))]:
        life = range(draw(st.integers(0, 12)), last - draw(st.integers(0, 12)))
        lacks = [span for span in shared if draw(st.integers(0, 3))] + draw(st.lists(a_range, max_size=2))
        store.candles[symbol] = set(life) - minutes(*lacks)
        everything = [(0, last)] if draw(st.booleans()) else []
        store.asked[symbol] = everything + draw(st.lists(a_range, max_size=4))
        store.rejected[symbol] = draw(st.sets(st.integers(0, last), max_size=4))
    return store


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(store=random_stores())
def test_gaps_equal_a_minute_by_minute_reading_of_the_rules(
    shared_database: duckdb.DuckDBPyConnection, store: Store
) -> None:
    assert gaps_of(shared_database, store) == expected_gaps(store)


def test_gaps_of_an_empty_store_are_none(database: duckdb.DuckDBPyConnection) -> None:
    assert gaps_of(database, Store({})) == []


def test_gap_across_midnight_is_one_run(database: duckdb.DuckDBPyConnection) -> None:
    store = asked_throughout({"A": minutes((0, 10), (30, 40))})
    assert gaps_of(database, store) == [
        ("A", utc("2024-02-29 23:50"), utc("2024-03-01 00:10"), 20, "not_published", 1, 1)
    ]


def test_gap_of_whole_days_is_one_run(database: duckdb.DuckDBPyConnection) -> None:
    store = asked_throughout({"A": minutes((0, 10), (9000, 9010))})
    assert reasons_of(database, store) == [("A", 10, 9000, "not_published")]


def test_gap_of_a_one_symbol_store_is_never_an_outage(database: duckdb.DuckDBPyConnection) -> None:
    store = asked_throughout({"A": minutes((0, 10), (12, 20))})
    assert reasons_of(database, store) == [("A", 10, 12, "not_published")]


def test_gap_that_no_range_covers_is_not_downloaded(database: duckdb.DuckDBPyConnection) -> None:
    store = Store({"A": minutes((0, 10), (20, 30))}, {"A": [(0, 13), (15, 15), (18, 30)]})
    assert reasons_of(database, store) == [
        ("A", 10, 13, "not_published"),
        ("A", 13, 18, "not_downloaded"),
        ("A", 18, 20, "not_published"),
    ]


def test_gap_asked_at_another_timeframe_is_not_downloaded(database: duckdb.DuckDBPyConnection) -> None:
    fill(database, asked_throughout({"A": minutes((0, 10), (20, 30))}))
    database.execute("update requests set timeframe = '1h'")
    assert database.execute("select reason from gaps").fetchall() == [("not_downloaded",)]


def test_gap_asked_in_many_overlapping_ranges_is_not_split(database: duckdb.DuckDBPyConnection) -> None:
    candles = {"A": minutes((0, 10), (20, 30))}
    store = Store(candles, {"A": [(0, 14), (12, 16), (12, 16), (16, 17), (17, 30)]})
    assert reasons_of(database, store) == [("A", 10, 20, "not_published")]


def test_rejected_minutes_go_before_outage(database: duckdb.DuckDBPyConnection) -> None:
    store = asked_throughout({symbol: minutes((0, 10), (16, 20)) for symbol in "AB"})
    store.rejected = {"A": {5, 12, 13}}
    assert reasons_of(database, store) == [
        ("A", 10, 12, "outage"),
        ("A", 12, 14, "rejected"),
        ("A", 14, 16, "outage"),
        ("B", 10, 16, "outage"),
    ]


def test_overlapping_absences_are_an_outage_where_nine_in_ten_lack(
    database: duckdb.DuckDBPyConnection,
) -> None:
    candles = {str(i): minutes((0, 10), (20, 30)) for i in range(9)}
    candles["early"] = minutes((0, 8), (18, 30))
    candles["still there"] = minutes((0, 30))
    candles["late"] = minutes((0, 12), (22, 30))
    store = asked_throughout(candles)
    rows = reasons_of(database, store)
    # Ten to eleven of the twelve lack the minutes in between: that is nine in ten from 12 to 18 only.
    assert [row[1:] for row in rows if row[0] == "early"] == [
        (8, 12, "not_published"),
        (12, 18, "outage"),
    ]
    assert [row[1:] for row in rows if row[0] == "late"] == [
        (12, 18, "outage"),
        (18, 22, "not_published"),
    ]
    assert gaps_of(database, store) == expected_gaps(store)


def test_outage_begins_anew_for_the_symbol_that_lacks_longer(database: duckdb.DuckDBPyConnection) -> None:
    store = asked_throughout({"A": minutes((0, 10), (20, 30)), "B": minutes((0, 10), (25, 30))})
    assert gaps_of(database, store) == [
        ("A", time(10), time(20), 10, "outage", 2, 2),
        ("B", time(10), time(20), 10, "outage", 2, 2),
        ("B", time(20), time(25), 5, "not_published", 2, 1),
    ]


@pytest.mark.parametrize(
    ("length", "reason"),
    [(72 * 60, "outage"), (72 * 60 + 1, "not_published"), (90 * 1440, "not_published")],
    ids=["72-hours", "a-minute-more", "three-months"],
)
def test_common_pause_is_an_outage_up_to_72_hours(
    length: int, reason: str, database: duckdb.DuckDBPyConnection
) -> None:
    store = asked_throughout({symbol: minutes((0, 5), (5 + length, 10 + length)) for symbol in "AB"})
    assert reasons_of(database, store) == [(symbol, 5, 5 + length, reason) for symbol in "AB"]


def test_outage_counts_no_symbol_listed_later_or_delisted_before(
    database: duckdb.DuckDBPyConnection,
) -> None:
    candles = {symbol: minutes((0, 10), (12, 20)) for symbol in "AB"}
    candles["delisted"] = minutes((0, 9))
    candles["added later"] = minutes((13, 20))
    store = Store(candles, {symbol: [(0, 20)] for symbol in candles})
    assert gaps_of(database, store) == [(symbol, time(10), time(12), 2, "outage", 2, 2) for symbol in "AB"]


def test_outage_counts_no_symbol_that_was_not_asked(database: duckdb.DuckDBPyConnection) -> None:
    candles = {symbol: minutes((0, 10), (12, 20)) for symbol in "ABC"}
    store = asked_throughout(candles)
    store.asked["C"] = [(0, 5)]
    assert gaps_of(database, store) == [
        ("A", time(10), time(12), 2, "outage", 2, 2),
        ("B", time(10), time(12), 2, "outage", 2, 2),
        ("C", time(10), time(12), 2, "not_downloaded", 2, 2),
    ]


def test_duplicated_candle_hides_no_absent_minute(database: duckdb.DuckDBPyConnection) -> None:
    fill(database, asked_throughout({"A": minutes((0, 10), (11, 20))}))
    database.execute("insert into candles_1m select * from candles_1m where open_time = ?", [time(4)])
    assert database.execute("select gap_start, missing from gaps").fetchall() == [(time(10), 1)]


def test_off_grid_candle_counts_for_its_minute(database: duckdb.DuckDBPyConnection) -> None:
    fill(database, asked_throughout({"A": minutes((0, 10), (11, 20))}))
    database.execute("update candles_1m set open_time = open_time + interval 7 second where open_time = ?", [time(4)])
    assert database.execute("select gap_start, missing from gaps").fetchall() == [(time(10), 1)]


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2021-04-20 02:00", "2021-04-20 04:30"),
        ("2021-04-25 04:01", "2021-04-25 08:45"),
        ("2023-03-24 12:40", "2023-03-24 14:00"),
    ],
)
def test_real_outages_are_found_with_their_exact_bounds(
    start: str, end: str, database: duckdb.DuckDBPyConnection, recordings: Recordings
) -> None:
    database.execute(f"insert into candles_1m by name select *, 1 as request_id from '{recordings.candles}'")
    # The file holds blocks of days; what lies between two blocks was never asked.
    database.execute(
        """
        insert into requests
        select distinct
            1, symbol, '1m', 'archive_daily', open_time::date, open_time::date + interval 1 day, 1, '', '',
            1, 1, 0, 0, open_time::date + interval 2 day, 1
        from candles_1m
        """
    )
    outages = database.execute(
        "select distinct gap_start, gap_end from gaps where reason = 'outage' and gap_start::date = ?",
        [utc(start).date()],
    ).fetchall()
    assert outages == [(utc(start), utc(end))]
