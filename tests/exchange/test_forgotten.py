"""Symbols that REST has forgotten: what the archive has of them is stored, and no other file is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.archive_helpers import ingest, make_settings, paths, select, served, stored
from threadx_duck import IngestionManager
from threadx_duck.cli.main import run
from threadx_duck.config import Settings
from threadx_duck.simulator import LoopbackExchange, Market, generate_market

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
START = datetime(2024, 1, 20)
ENDED = START + 60 * DAY
NOW = datetime(2024, 9, 4, 12)
HALT = (datetime(2024, 2, 10, 3, 41), datetime(2024, 2, 10, 5))
FORGOTTEN, CHINESE = "OLDUSDC", "币安人生USDT"


@cache
def made_market() -> Market:
    """Three symbols that ended months ago, with a halt of all. Do not change it."""
    return generate_market([FORGOTTEN, CHINESE, "BTCUSDC"], start=START, end=ENDED, outages=[HALT])


def serve() -> LoopbackExchange:
    return LoopbackExchange(Market(made_market()), now=NOW.replace(tzinfo=UTC))


def forget(exchange: LoopbackExchange, symbol: str = FORGOTTEN) -> None:
    """REST answers -1121 for a symbol from now on."""
    exchange.fail(
        400,
        times=None,
        match=lambda request: request.path.startswith("/api/") and request.symbol == symbol,
        code=-1121,
        text="Invalid symbol.",
    )


def all_of(exchange: LoopbackExchange, symbol: str = FORGOTTEN) -> Any:
    return served(exchange.market, START, ENDED, symbol)


def absent_files_asked(exchange: LoopbackExchange) -> list[str]:
    return [path for path in paths(exchange, ".zip") if exchange.archive.get(path[1:].split("?")[0]) is None]


@pytest.mark.parametrize("symbol", [FORGOTTEN, CHINESE])
def test_forgotten_symbol_is_stored_from_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], symbol: str
) -> None:
    with serve() as exchange:
        settings = make_settings(tmp_path, exchange.url)
        forget(exchange, symbol)
        assert run(["ingest", symbol, "--json"]) == 0
        printed = capsys.readouterr()
        assert stored(settings, symbol).equals(all_of(exchange, symbol))
        assert f"has no symbol '{symbol}'. What the archive has of it is all there is" in printed.err
        (entry,) = json.loads(printed.out)["symbols"]
        clocks = exchange.requests.of(path="/api/v3/time")
        assert entry["requests"] == len(exchange.requests) - len(clocks)
        assert len(exchange.requests.klines) == 1
        # The halt is proved by its day's file.
        assert select(settings, "select gap_start, gap_end, reason from gaps") == [(*HALT, "not_published")]


def test_forgotten_symbol_does_not_fail_the_runs_that_come_after(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve() as exchange:
        settings = make_settings(tmp_path, exchange.url)
        ingest(settings, START, START + 5 * DAY, symbol=FORGOTTEN)
        forget(exchange)
        for number in range(2):
            exchange.requests.clear()
            assert run(["ingest", "--json"]) == 0, capsys.readouterr().err
            (entry,) = json.loads(capsys.readouterr().out)["symbols"]
            assert (entry["status"], entry["rows_added"] > 0) == ("ok", number == 0)
            assert entry["requests"] == len(exchange.requests) - 1
        assert stored(settings, FORGOTTEN).equals(all_of(exchange))


@pytest.mark.parametrize("days", [1, 7, 60])
def test_symbol_forgotten_half_way_is_the_same_in_pieces_as_at_once(tmp_path: Path, days: int) -> None:
    with serve() as exchange:
        settings = make_settings(tmp_path, exchange.url)
        ingest(settings, START, START + DAY, symbol=FORGOTTEN)
        forget(exchange)
        for number in range(1, 60, days):
            start = START + number * DAY
            assert ingest(settings, start, min(start + days * DAY, ENDED), symbol=FORGOTTEN)[0].error is None
        assert stored(settings, FORGOTTEN).equals(all_of(exchange))
        assert select(settings, "select gap_start, gap_end, reason from gaps") == [(*HALT, "not_published")]
        exchange.requests.clear()
        assert ingest(settings, START, ENDED, symbol=FORGOTTEN)[0].status == "up_to_date"
        assert not exchange.requests


def test_truncated_month_of_a_forgotten_symbol_is_completed_from_its_days(tmp_path: Path) -> None:
    with serve() as exchange:
        settings = make_settings(tmp_path, exchange.url)
        exchange.archive.edit("monthly", FORGOTTEN, "2024-02", rows=lambda rows: rows.slice(0, 3 * 1_440))
        forget(exchange)
        ingest(settings, None, None, symbol=FORGOTTEN)
        assert stored(settings, FORGOTTEN).equals(all_of(exchange))
        assert absent_files_asked(exchange) == []


def test_range_that_the_files_of_a_forgotten_symbol_do_not_reach_stays_asked_for(tmp_path: Path) -> None:
    with serve() as exchange:
        settings = make_settings(tmp_path, exchange.url)
        forget(exchange)
        result, notes = ingest(settings, ENDED + 20 * DAY, ENDED + 40 * DAY, symbol=FORGOTTEN)
        assert (result.status, result.rows_added) == ("ok", 0)
        assert "is all there is" in notes[0]
        assert absent_files_asked(exchange) == []
        assert not settings.store.database.exists()


# The archive alone, while REST cannot be asked at all


@pytest.fixture
def without_rest(tmp_path: Path) -> Callable[[LoopbackExchange], Settings]:
    return lambda exchange: make_settings(tmp_path, "http://127.0.0.1:9", archive_url=exchange.url)


def test_archive_alone_asks_only_for_files_that_there_are(
    without_rest: Callable[[LoopbackExchange], Settings],
) -> None:
    with serve() as exchange:
        settings = without_rest(exchange)
        result, _ = ingest(settings, None, None, symbol=FORGOTTEN, source="archive")
        assert result.error is None
        assert stored(settings, FORGOTTEN).equals(all_of(exchange))
        assert absent_files_asked(exchange) == []


def test_archive_alone_finds_out_in_a_handful_of_requests_that_there_is_nothing(
    without_rest: Callable[[LoopbackExchange], Settings],
) -> None:
    with serve() as exchange:
        result, _ = ingest(without_rest(exchange), None, None, symbol="NOPEUSDC", source="archive")
        assert str(result.error).startswith(
            "The archive has no files of NOPEUSDC, and REST could not be asked about it: No answer from 127.0.0.1:9"
        )
        assert len(exchange.requests) <= 4


# A list that cannot be had


def test_symbol_is_not_called_unknown_where_the_archive_does_not_tell(tmp_path: Path) -> None:
    with serve() as exchange:
        settings = make_settings(tmp_path, exchange.url)
        forget(exchange)
        exchange.fail(404, times=None, match=lambda request: request.path == "/")
        result, _ = ingest(settings, None, None, symbol=FORGOTTEN)
        assert "Whether the archive has files of it could not be found out" in str(result.error)
        assert len(exchange.requests) <= 4


def test_archive_alone_tries_file_by_file_where_there_is_no_list(tmp_path: Path) -> None:
    with serve() as exchange:
        settings = make_settings(tmp_path, exchange.url)
        forget(exchange)
        exchange.fail(404, times=None, match=lambda request: bool(request.params.get("prefix")))
        result, _ = ingest(settings, START, ENDED, symbol=FORGOTTEN, source="archive")
        assert result.error is None
        assert stored(settings, FORGOTTEN).equals(all_of(exchange))
        assert ingest(settings, START, ENDED, symbol="NOPEUSDC", source="archive")[0].status == "failed"


# A symbol that REST has, but says nothing of once


@pytest.mark.parametrize("times", [1, 2])
def test_first_candle_is_asked_for_again_where_the_answer_is_empty(tmp_path: Path, times: int) -> None:
    with serve() as exchange:
        settings = make_settings(tmp_path, exchange.url, archive="enabled = false")
        exchange.fail("empty_rows", times=times, match=lambda request: request.params.get("limit") == "1")
        with IngestionManager(settings) as manager:
            result = manager.update_assets_batch(["BTCUSDC"], None, START + DAY)["BTCUSDC"]
        assert (result.status, result.rows_added) == ("ok", 1_440 if times == 1 else 0)
