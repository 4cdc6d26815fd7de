"""`threadx_duck.exchange.symbols` and ``threadx symbols``: what the exchange lists, and how long that is kept."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from threadx_duck import DownloadError, IngestionManager
from threadx_duck.candles.times import utc_now
from threadx_duck.cli.main import run
from threadx_duck.config import Settings
from threadx_duck.simulator import LoopbackExchange


def _asked(exchange: LoopbackExchange) -> int:
    return len(exchange.requests.of(path="/api/v3/exchangeInfo"))


@pytest.fixture(autouse=True)
def other_quotes(exchange: LoopbackExchange, settings: Settings) -> None:
    """Beside the three USDC symbols one quoted in USDT, and one that is not traded any more."""
    exchange.market["BTCUSDT"] = exchange.market["BTCUSDC"]
    exchange.market.replace("SOLUSDC", status="BREAK")


def _kept(age: timedelta, **changes: str) -> None:
    """A kept list of one symbol, so old."""
    document = {
        "host": json.loads(Path("data/symbols.json").read_text())["host"],
        "asked_at": (utc_now() - age).isoformat(),
        "symbols": [["OLDUSDC", "TRADING", "OLD", "USDC"]],
    }
    Path("data/symbols.json").write_text(json.dumps(document | changes))


def test_symbols_of_a_quote_and_status_are_named_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["symbols", "--quote", "usdc", "--status", "TRADING", "--names"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "BTCUSDC\nETHUSDC\n"
    assert shown.err == "note: 2 symbols; the list is less than a minute old.\n"


def test_symbols_as_json_tell_assets_status_and_age(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["symbols", "--quote", "USDT", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["symbols"] == [{"symbol": "BTCUSDT", "status": "TRADING", "base": "BTC", "quote": "USDT"}]
    assert document["age_seconds"] < 60
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["asked_at"])


def test_symbols_asked_again_within_a_day_are_those_kept(exchange: LoopbackExchange, settings: Settings) -> None:
    for _ in range(2):
        with IngestionManager(settings) as manager:
            assert len(manager.list_symbols().symbols) == 4
    assert _asked(exchange) == 1


@pytest.mark.parametrize(
    "changes",
    [pytest.param({}, id="older than a day"), pytest.param({"host": "https://elsewhere.test"}, id="of another host")],
)
def test_symbols_kept_too_long_or_of_another_host_are_asked_again(changes: dict[str, str], settings: Settings) -> None:
    run(["--quiet", "symbols", "--names"])
    _kept(timedelta(hours=25 if not changes else 1), **changes)
    with IngestionManager(settings) as manager:
        assert "BTCUSDC" in {entry.symbol for entry in manager.list_symbols().symbols}


def test_symbols_kept_from_the_future_are_asked_again(settings: Settings) -> None:
    run(["--quiet", "symbols", "--names"])
    _kept(timedelta(hours=-5))
    with IngestionManager(settings) as manager:
        assert len(manager.list_symbols().symbols) == 4


def test_symbols_refreshed_are_asked_again(exchange: LoopbackExchange) -> None:
    for options in ([], ["--refresh"]):
        assert run(["symbols", *options]) == 0
    assert _asked(exchange) == 2


def test_symbols_without_a_network_are_the_old_ones_and_it_is_said(
    exchange: LoopbackExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["--quiet", "symbols", "--names"])
    _kept(timedelta(days=3))
    exchange.fail(503, times=None)
    capsys.readouterr()
    assert run(["symbols", "--names"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "OLDUSDC\n"
    assert "could not be asked again" in shown.err
    assert "the list is 3 days old" in shown.err


def test_symbols_without_a_network_and_none_kept_fail(exchange: LoopbackExchange, settings: Settings) -> None:
    exchange.fail(503, times=None)
    with IngestionManager(settings) as manager, pytest.raises(DownloadError):
        manager.list_symbols()


def test_symbols_kept_in_a_damaged_file_are_asked_again(settings: Settings) -> None:
    Path("data").mkdir()
    Path("data/symbols.json").write_text("{")
    with IngestionManager(settings) as manager:
        assert len(manager.list_symbols().symbols) == 4


def test_symbols_answer_of_another_form_is_refused(exchange: LoopbackExchange, settings: Settings) -> None:
    exchange.fail("body", times=None, body=b'{"symbols": [{"symbol": 1}]}', status=200, content_type="application/json")
    with IngestionManager(settings) as manager, pytest.raises(DownloadError, match="did not tell its symbols"):
        manager.list_symbols()


def test_ingest_of_a_quote_takes_all_that_trade(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ingest", "--quote", "USDC", "--start", "2024-01-01", "--end", "2024-01-01", "--json"]) == 0
    assert [row["symbol"] for row in json.loads(capsys.readouterr().out)["symbols"]] == ["BTCUSDC", "ETHUSDC"]


def test_ingest_of_an_unknown_quote_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ingest", "--quote", "XYZ", "--start", str(datetime(2024, 1, 1).date())]) == 2
    assert "trades nothing against 'XYZ'" in capsys.readouterr().err


GOOD = ["OLDUSDC", "TRADING", "OLD", "USDC"]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([GOOD, [7, "TRADING", "OLD", "USDC"]], id="number"),
        pytest.param([GOOD, ["X", None, "X", "USDC"]], id="null"),
        pytest.param([GOOD, ["A" * 10_000_000, "TRADING", "A", "USDC"]], id="ten megabytes"),
        pytest.param([GOOD, ["", "TRADING", "A", "USDC"]], id="empty"),
        pytest.param([GOOD, ["OLDUSDC", "BREAK", "OLD", "USDC"]], id="twice and not alike"),
        pytest.param([GOOD, ["X"]], id="too few"),
        pytest.param(7, id="no list"),
        pytest.param([GOOD, "ABCD"], id="text of four letters"),
        pytest.param([GOOD, [["X"], {}, "X", "USDC"]], id="lists"),
    ],
)
def test_symbols_kept_that_can_be_none_are_asked_again(
    settings: Settings, entries: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["symbols"]) == 0
    kept = json.loads(Path("data/symbols.json").read_text())
    Path("data/symbols.json").write_text(json.dumps(kept | {"symbols": entries}))
    capsys.readouterr()
    assert run(["symbols", "--names"]) == 0
    assert capsys.readouterr().out == "BTCUSDC\nBTCUSDT\nETHUSDC\nSOLUSDC\n"
