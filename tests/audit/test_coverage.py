"""What is stored, at a glance: symbol by symbol and cell by cell; and the symbols of the exchange."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from threadx_duck import IngestionManager, Settings
from threadx_duck.errors import BadResponseError, UnknownSymbolError
from threadx_duck.exchange.markets import ExchangeSymbol
from threadx_duck.simulator import LoopbackExchange, generate_market

pytestmark = pytest.mark.slow

COUNTS = ("not_downloaded", "rejected", "outage", "not_published", "not_asked")


@pytest.fixture
def manager(settings: Settings) -> Any:
    with IngestionManager(settings) as made:
        yield made


def cells(manager: IngestionManager, *span: str, step: Any = "day") -> dict[tuple[str, int], dict[str, int]]:
    """By symbol and day of the month: minutes present, and absent by reason where there are any."""
    return {
        (row["symbol"], row["cell_start"].day): {
            name: row[name] for name in ("present", *COUNTS) if row[name] or name == "present"
        }
        for row in manager.coverage_map(*span, step).to_pylist()  # type: ignore[call-arg]
    }


def test_overview_of_no_store_has_no_rows(manager: IngestionManager) -> None:
    assert manager.overview().num_rows == 0


def test_overview_counts_candles_and_gaps(manager: IngestionManager) -> None:
    manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-01")
    manager.update_assets_batch(["BTCUSDC"], "2024-01-03", "2024-01-03")
    rows = {row["symbol"]: row for row in manager.overview().to_pylist()}
    assert [rows[symbol]["gaps"] for symbol in ("BTCUSDC", "ETHUSDC")] == [2, 1]
    assert rows["BTCUSDC"]["candles"] == 1_320 + 1_440
    assert rows["BTCUSDC"]["expected"] == 3 * 1_440
    assert rows["BTCUSDC"]["last_requested_at"] == datetime(2024, 1, 4)


def test_coverage_before_and_after_what_is_stored_is_not_asked_and_not_counted(manager: IngestionManager) -> None:
    manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-02", "2024-01-02")
    found = cells(manager, "2024-01-01", "2024-01-03")
    assert found["BTCUSDC", 1] == {"present": 0, "not_asked": 1_440}
    assert found["BTCUSDC", 2] == {"present": 1_440}
    assert found["BTCUSDC", 3] == {"present": 0, "not_asked": 1_440}


def test_coverage_before_the_listing_expects_nothing(manager: IngestionManager) -> None:
    manager.update_assets_batch(["BTCUSDC", "SOLUSDC"], "2024-01-01", "2024-01-03")
    found = cells(manager, "2024-01-01", "2024-01-03")
    assert ("SOLUSDC", 1) not in found
    assert found["SOLUSDC", 2] == {"present": 720}


def test_coverage_tells_an_outage_by_day_and_by_month(manager: IngestionManager) -> None:
    manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-03")
    assert cells(manager, "2024-01-01", "2024-01-03")["BTCUSDC", 1] == {"present": 1_320, "outage": 120}
    assert cells(manager, "2024-01-01", "2024-01-03", step="month")["BTCUSDC", 1] == {
        "present": 4_200,
        "outage": 120,
    }


def test_coverage_of_a_gap_over_midnight_is_split_between_the_days(settings: Settings) -> None:
    hole = (datetime(2024, 1, 1, 22, tzinfo=UTC), datetime(2024, 1, 2, 3, tzinfo=UTC))
    market = generate_market(
        ["BTCUSDC"],
        start=datetime(2024, 1, 1, tzinfo=UTC),
        end=datetime(2024, 1, 3, tzinfo=UTC),
        pauses={"BTCUSDC": hole},
    )
    with LoopbackExchange(market) as exchange:
        own = replace(settings, api=replace(settings.api, base_url=exchange.url))
        with IngestionManager(own) as manager:
            manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-02")
            found = cells(manager, "2024-01-01", "2024-01-02")
    assert found["BTCUSDC", 1] == {"present": 1_320, "not_published": 120}
    assert found["BTCUSDC", 2] == {"present": 1_260, "not_published": 180}


def test_gaps_of_a_range_are_clipped_to_it(manager: IngestionManager) -> None:
    manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-03")
    (gap,) = manager.gaps(["BTCUSDC"], "2024-01-01T06:00", "2024-01-01").to_pylist()
    assert (gap["gap_start"], gap["missing"]) == (datetime(2024, 1, 1, 6), 60)


def test_symbols_of_the_exchange_have_status_and_assets(manager: IngestionManager) -> None:
    assert manager.exchange_symbols()[0] == ExchangeSymbol("BTCUSDC", "TRADING", "BTC", "USDC")
    assert [entry.symbol for entry in manager.exchange_symbols("ETHUSDC")] == ["ETHUSDC"]


def test_symbol_that_the_exchange_does_not_list_is_named(manager: IngestionManager) -> None:
    with pytest.raises(UnknownSymbolError, match="has no symbol 'NOSUCHCOIN'"):
        manager.exchange_symbols("NOSUCHCOIN")
    with pytest.raises(UnknownSymbolError, match=r"has no symbol 'SOLUSDX'\. Did you mean SOLUSDC\?$"):
        manager.exchange_symbols("sol/usdx")


def test_symbols_that_cannot_be_read_are_no_symbols(manager: IngestionManager, exchange: LoopbackExchange) -> None:
    exchange.fail("body", times=None, match="/api/v3/exchangeInfo", body=b'{"symbols": [{"symbol": "BTCUSDC"}]}')
    with pytest.raises(BadResponseError, match="did not tell its symbols"):
        manager.exchange_symbols()


def test_symbols_are_asked_for_again_after_a_run_was_stopped(manager: IngestionManager) -> None:
    manager.stop()
    assert manager.exchange_symbols("BTCUSDC")


def test_download_runs_again_after_one_was_stopped(manager: IngestionManager) -> None:
    manager.stop()
    assert manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")["BTCUSDC"].status == "ok"
