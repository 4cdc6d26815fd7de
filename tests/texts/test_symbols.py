"""Symbols as people type them, in every command; and what a symbol that does not exist costs and is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile

import duckdb
import pytest

from tests.conftest import START
from threadx_duck import IngestionManager, LegacyAdapter, Settings
from threadx_duck.cli.main import run
from threadx_duck.errors import UsageError
from threadx_duck.simulator import LoopbackExchange, generate_market
from threadx_duck.texts.symbols import nearest, plain, read_symbols

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("typed", "symbol"),
    [("btcusdc", "BTCUSDC"), ("BTC/USDC", "BTCUSDC"), ("Btc-Usdc", "BTCUSDC"), ("BTCUSDC ", "BTCUSDC"),
     ("币安USDT", "币安USDT"), ("btcusd_perp", "BTCUSD_PERP"), ("ßusdc", "ßUSDC")],
)  # fmt: skip
def test_symbol_is_read_as_the_exchange_writes_it(typed: str, symbol: str) -> None:
    assert plain(typed) == symbol


def test_symbol_that_is_known_as_typed_is_taken_so() -> None:
    assert read_symbols(["odd-one", "eth/usdc", "ETHUSDC"], lambda: {"odd-one"}) == ["odd-one", "ETHUSDC"]


def test_known_symbols_are_not_looked_up_for_what_is_typed_as_it_should_be() -> None:
    def refuse() -> list[str]:
        raise AssertionError

    assert read_symbols(["BTCUSDC", "BTCUSDC", "ETHUSDC"], refuse) == ["BTCUSDC", "ETHUSDC"]


@pytest.mark.parametrize("typed", ["", " ", "/", "-"])
def test_empty_symbol_is_refused(typed: str) -> None:
    with pytest.raises(UsageError, match="A symbol is empty"):
        read_symbols([typed], list)


def test_nearest_names_are_alike_and_never_the_same() -> None:
    names = ["BTCUSDC", "BTCUSDT", "ETHUSDC", "SOLBTC"]
    assert nearest("BTCUSDX", names) == ["BTCUSDT", "BTCUSDC"]
    assert nearest("BTCUSDC", names) == ["BTCUSDT"]
    assert nearest("DOGE", names) == []


@pytest.fixture
def stored(settings: Settings) -> Settings:
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], START, START + DAY)
    return settings


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "btc/usdc", "--json"],
        ["gaps", "btcusdc", "--json"],
        ["check", "BTC-USDC", "--json"],
        ["candles", "btcusdc", "1h", "--format", "json"],
        ["verify", "btc/usdc", "-t", "1h", "--json"],
        ["fingerprint", "btcusdc", "--json"],
        ["explain", "btc-usdc", "2024-01-01T10:00", "--json"],
        ["revisions", "btcusdc", "--json"],
        ["export", "-o", "out", "--symbol", "btc/usdc", "--json"],
        ["ingest", "btcusdc", "--start", "2024-01-01", "--end", "2024-01-01", "--json"],
        ["follow", "btcusdc", "--once"],
        ["chart", "btc/usdc", "1h", "--no-open", "-o", "chart.html"],
        ["remove", "btc/usdc", "--yes"],
    ],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.usefixtures("stored")
def test_every_command_takes_a_symbol_in_any_spelling(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    odd = [argument for argument in arguments if argument.upper().replace("/", "").replace("-", "") == "BTCUSDC"]
    assert run(arguments) == 0, capsys.readouterr().err
    printed = capsys.readouterr()
    assert odd[0] not in printed.out.replace("-usdc", "-")
    if "--json" in arguments or "--format" in arguments:
        json.loads(printed.out)
        assert "BTCUSDC" in printed.out or arguments[0] in {"check", "revisions", "gaps", "verify", "export"}


@pytest.mark.slow
@pytest.mark.parametrize("command", [["status"], ["gaps"], ["check"], ["fingerprint"], ["verify", "-t", "1h"]])
@pytest.mark.usefixtures("stored")
def test_command_for_a_symbol_that_is_not_stored_offers_the_nearest(
    capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert run([command[0], "btcusdx", *command[1:]]) == 2
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith("Not stored: BTCUSDX. Did you mean BTCUSDC? Run: threadx ingest BTCUSDX")
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["candles", "btc/usdx", "1h"], "Did you mean BTCUSDC? Run: threadx ingest BTCUSDX"),
        (
            ["chart", "Btc-Usdx", "1h", "--no-open", "-o", "chart.html"],
            "Did you mean BTCUSDC? Run: threadx ingest BTCUSDX",
        ),
        (["remove", "btcusdx", "--yes"], "Did you mean BTCUSDC? See: threadx status"),
        (
            ["follow", "btc/usdx", "--once"],
            "Did you mean BTCUSDC? Run first: threadx ingest BTCUSDX --start 2024-01-01",
        ),
        (
            ["diff", "other.duckdb", "btc-usdx"],
            "Neither store has candles of BTCUSDX in this range. Did you mean BTCUSDC?",
        ),
        (["diff", "other.duckdb", "btcusdc", "--end", "2020-01-01"], "has candles of BTCUSDC in this range."),
        (["diff", "other.duckdb", "QQQ"], "Neither store has candles of QQQ in this range."),
        (["candles", "QQQ", "1h"], "Run: threadx ingest QQQ"),
    ],
)
def test_unknown_symbol_is_answered_in_one_line_as_the_exchange_writes_it(
    stored: Settings, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    copyfile(stored.store.database, "other.duckdb")
    assert run(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("threadx: error: ")
    assert line.endswith(message)
    assert not Path("chart.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize("empty", ["", " ", "\t", "/", "-/"])
@pytest.mark.parametrize(
    "command",
    [
        ["ingest"],
        ["candles", "1h"],
        ["remove", "--yes"],
        ["follow", "--once"],
        ["chart", "1h"],
        ["diff"],
        ["status"],
        ["gaps"],
        ["check"],
        ["verify", "-t", "1h"],
        ["fingerprint"],
        ["revisions"],
    ],
    ids=lambda command: command[0],
)
def test_empty_symbol_is_refused_and_never_means_all(
    stored: Settings, capsys: pytest.CaptureFixture[str], command: list[str], empty: str
) -> None:
    copyfile(stored.store.database, "other.duckdb")
    name, *others = command
    # Behind the mark, so that no symbol is taken for an option.
    options = [other for other in others if other != "1h" or name == "verify"]
    places = ["other.duckdb"] * (name == "diff")
    timeframe = ["1h"] * (name in {"candles", "chart"})
    assert run([name, *options, "--", *places, empty, *timeframe]) == 2
    assert capsys.readouterr().err == "threadx: error: A symbol is empty. Write one such as BTCUSDC.\n"


@pytest.mark.parametrize("empty", ["", " "])
def test_empty_name_of_a_file_is_refused_before_any_is_read(capsys: pytest.CaptureFixture[str], empty: str) -> None:
    assert run(["import", "x.csv", empty]) == 2
    assert capsys.readouterr().err == (
        "threadx: error: The name of a file is empty. Name files such as BTCUSDC-1m-2024-01.zip.\n"
    )


@pytest.mark.slow
def test_python_takes_a_symbol_in_any_spelling(stored: Settings) -> None:
    with IngestionManager(stored) as manager:
        assert manager.download_ohlcv_1m("btc/usdc", START, START + DAY).num_rows == 1_320
        assert manager.resample_from_1m_api("btc-usdc", "1h", START, START + DAY).num_rows == 22
        assert list(manager.update_assets_batch(["btcusdc"], START, START + DAY)) == ["BTCUSDC"]
        assert manager.gaps(["btcusdc"]).num_rows == 1
    with LegacyAdapter(stored) as adapter:
        assert adapter.fetch_klines_1m("eth/usdc", "2024-01-02", "2024-01-02").num_rows == 1_440


def test_symbol_stored_in_small_letters_stays_reachable(stored: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    with duckdb.connect(str(stored.store.database)) as connection:
        connection.execute("update candles_1m set symbol = 'ethusdc' where symbol = 'ETHUSDC'")
        connection.execute("update requests set symbol = 'ethusdc' where symbol = 'ETHUSDC'")
    assert run(["status", "ethusdc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["symbols"][0]["symbol"] == "ethusdc"


# What a symbol that REST does not know costs, with eight years of archive that could be asked


@pytest.fixture
def served(tmp_path: Path) -> Iterator[LoopbackExchange]:
    start = datetime(2024, 1, 1)
    market = generate_market(["BTCUSDC", "OLDUSDC"], start=start, end=start + 75 * DAY)
    market.replace("OLDUSDC", market["OLDUSDC"].candles.slice(0, 40 * 1_440))
    with LoopbackExchange(market, now=(start + 75 * DAY).replace(tzinfo=UTC)) as exchange:
        (tmp_path / "paths.toml").write_text(
            f'[data.api]\nbase_url = "{exchange.url}"\nretry_delay = 0.0\n[data.archive]\nbase_url = "{exchange.url}"\n'
        )
        yield exchange


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--start", "2017-01-01"], ["--source", "archive"]], ids=" ".join)
def test_wrong_symbol_costs_a_handful_of_requests_and_is_answered_with_the_nearest_name(
    served: LoopbackExchange, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    assert run(["ingest", "btcusdx", *options, "--json"]) == 1
    printed = capsys.readouterr()
    assert len(served.requests) <= 5, [request.path for request in served.requests]
    (entry,) = json.loads(printed.out)["symbols"]
    assert entry["error"].endswith(" has no symbol 'BTCUSDX'. Did you mean BTCUSDC?")
    # Its first candle, the lists of months and of days, and the names of all symbols; the clock is nobody's.
    assert entry["requests"] == 4 == len(served.requests) - 1
    assert not Path("data/threadx.duckdb").exists()


@pytest.mark.slow
def test_symbol_that_only_the_archive_knows_is_asked_for_no_file_that_is_not_there(
    served: LoopbackExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    served.fail(400, times=None, match="/api/v3/klines", code=-1121, text="Invalid symbol.")
    code = run(["ingest", "OLDUSDC", "--source", "archive", "--json"])
    assert code == 0, capsys.readouterr().err
    (entry,) = json.loads(capsys.readouterr().out)["symbols"]
    assert entry["rows_added"] == 40 * 1_440
    asked = [request.path for request in served.requests if request.path.endswith(".zip")]
    missing = [path for path in asked if served.archive.get(path[1:]) is None]
    assert missing == []
    assert len(served.requests) < 40
