"""Whole runs of the ingestion manager against the loopback exchange, over real HTTP."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from threadx_duck.candles.times import MINUTE
from threadx_duck.config import Settings
from threadx_duck.download import run as download
from threadx_duck.download.plan import SymbolPlan
from threadx_duck.download.results import Progress
from threadx_duck.errors import DownloadError, StoreError, UnknownTimeframeError, UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market, generate_market
from threadx_duck.storage.store import Store

pytestmark = pytest.mark.slow

START = datetime(2024, 1, 1)
END = datetime(2024, 1, 4)
OUTAGE = (datetime(2024, 1, 1, 5), datetime(2024, 1, 1, 7))
LISTED = datetime(2024, 1, 2, 12)  # SOLUSDC

INGEST_IN_SMALL_COMMITS = textwrap.dedent("""
    import sys
    from threadx_duck.download import run as download
    from threadx_duck.cli.main import run

    download.COMMIT_ROWS = 1_500
    append = download.append_to_store

    def append_and_tell(store, batches):
        appended = append(store, batches)
        print("committed", sum(row.rows_added for row in appended), flush=True)
        return appended

    download.append_to_store = append_and_tell
    sys.exit(run(["--quiet", "ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-03"]))
""")


@pytest.fixture
def manager(settings: Settings) -> Iterator[IngestionManager]:
    with IngestionManager(settings) as made:
        yield made


def ask(settings: Settings, statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(settings.store.database), read_only=True) as connection:
        return connection.execute(statement).fetchall()


def served(
    exchange: LoopbackExchange, symbol: str, start: datetime = START, end: datetime = END
) -> list[tuple[Any, ...]]:
    """The candles of the exchange's market in a range, as rows."""
    rows = exchange.market[symbol].candles.to_pylist()
    return [(symbol, *row.values()) for row in rows if start <= row["open_time"] < end]


def stored(settings: Settings, symbol: str) -> list[tuple[Any, ...]]:
    return ask(settings, f"select * exclude (request_id) from candles_1m where symbol = '{symbol}' order by open_time")


def gaps(settings: Settings, symbol: str) -> list[tuple[Any, ...]]:
    return ask(settings, f"select gap_start, gap_end, reason from gaps where symbol = '{symbol}' order by gap_start")


class StopAfter(Progress):
    """Presses Ctrl-C, or calls a function, after so many answers."""

    def __init__(self, answers: int, action: Any = None) -> None:
        self.left = answers
        self.action = action

    def received(self, symbol: str, minutes: int, rows: int, calls: int) -> None:
        self.left -= 1
        if self.left == 0:
            if self.action is None:
                raise KeyboardInterrupt
            self.action()


# Download


def test_a_download_stores_every_candle_of_the_range(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    results = manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-03")
    expected = served(exchange, "BTCUSDC")
    assert stored(settings, "BTCUSDC") == expected
    result = results["BTCUSDC"]
    assert (result.status, result.rows_added, result.rows_revised, result.rows_rejected, result.error) == (
        *("ok", len(expected), 0, 0, None),
    )
    assert result.requests == len(exchange.requests.klines)
    assert result.seconds > 0
    assert gaps(settings, "BTCUSDC") == [(*OUTAGE, "not_published")]


def test_the_ledger_says_what_was_asked_and_answered(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-02")
    rows = ask(settings, "from requests order by range_end")
    assert sum(row[9] for row in rows) == len(served(exchange, "BTCUSDC", end=datetime(2024, 1, 3)))
    assert rows[-1][5] == datetime(2024, 1, 3)
    assert all(row[7].startswith(exchange.url + "/api/v3/klines?symbol=BTCUSDC") for row in rows)
    assert all(row[13] == END for row in rows)
    unexplained = "select count(*) from candles_1m where request_id not in (select request_id from requests)"
    assert ask(settings, unexplained) == [(0,)]


def test_a_batch_of_symbols_is_downloaded_side_by_side(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    symbols = ["ETHUSDC", "BTCUSDC", "SOLUSDC"]
    results = manager.update_assets_batch([*symbols, "BTCUSDC"], "2024-01-01", "2024-01-03")
    assert list(results) == symbols
    for symbol in symbols:
        assert stored(settings, symbol) == served(exchange, symbol)
    assert {reason for *_, reason in gaps(settings, "BTCUSDC")} == {"outage"}
    assert gaps(settings, "SOLUSDC") == []


def test_a_second_run_sends_no_request(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    arguments = (["BTCUSDC", "SOLUSDC"], "2024-01-01", "2024-01-03T00:00")
    manager.update_assets_batch(*arguments)
    exchange.requests.clear()
    with IngestionManager(settings) as again:
        results = again.update_assets_batch(*arguments)
    assert exchange.requests == []
    assert [(r.status, r.rows_added, r.requests) for r in results.values()] == [("up_to_date", 0, 0)] * 2


@pytest.mark.parametrize("start", ["2017-01-01", "1970-01-01", "1969-12-31", "1900-01-01"])
def test_a_start_before_the_listing_costs_nothing_the_second_time(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange, start: str
) -> None:
    manager.update_assets_batch(["SOLUSDC"], start, "2024-01-02")
    assert stored(settings, "SOLUSDC") == served(exchange, "SOLUSDC", end=datetime(2024, 1, 3))
    assert len(exchange.requests.klines) == 2
    exchange.requests.clear()
    assert manager.update_assets_batch(["SOLUSDC"], start, "2024-01-02")["SOLUSDC"].status == "up_to_date"
    assert exchange.requests == []


def test_a_range_before_the_listing_is_conclusively_empty(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    manager.update_assets_batch(["SOLUSDC"], "2023-12-01", "2023-12-31")
    assert stored(settings, "SOLUSDC") == served(exchange, "SOLUSDC")[:1]
    exchange.requests.clear()
    manager.update_assets_batch(["SOLUSDC"], "2023-12-01", "2023-12-31")
    assert exchange.requests == []


def test_only_what_is_missing_is_asked(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-02", "2024-01-02")
    exchange.requests.clear()
    manager.update_assets_batch(["BTCUSDC"], "2024-01-02T12:00", "2024-01-03T06:00")
    (request,) = exchange.requests.klines
    first = datetime.fromtimestamp(int(request.params["startTime"]) / 1_000, UTC).replace(tzinfo=None)
    last = datetime.fromtimestamp((int(request.params["endTime"]) + 1) / 1_000, UTC).replace(tzinfo=None)
    assert (first, last) == (datetime(2024, 1, 3), datetime(2024, 1, 3, 6))


def test_stored_minutes_need_no_proof(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")
    with duckdb.connect(str(settings.store.database)) as connection:
        connection.execute("update requests set range_end = range_start")
    exchange.requests.clear()
    manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")
    # An empty answer is no proof until it comes a second time.
    for request in exchange.requests.klines:
        assert int(request.params["startTime"]) == OUTAGE[0].replace(tzinfo=UTC).timestamp() * 1_000
        assert int(request.params["endTime"]) == OUTAGE[1].replace(tzinfo=UTC).timestamp() * 1_000 - 1
    assert len(exchange.requests.klines) == 2


def test_without_an_end_it_goes_to_the_last_closed_minute(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    exchange.now = datetime(2024, 1, 2, 10, 30, 59, tzinfo=UTC)
    manager.update_assets_batch(["BTCUSDC"], "2024-01-02T10:00")
    assert stored(settings, "BTCUSDC") == served(
        exchange, "BTCUSDC", datetime(2024, 1, 2, 10), datetime(2024, 1, 2, 10, 30)
    )


def test_a_future_end_is_the_last_closed_minute(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    exchange.now = datetime(2024, 1, 2, 10, 30, 59, tzinfo=UTC)
    manager.update_assets_batch(["BTCUSDC"], "2024-01-02T10:00", "2100-01-01")
    assert len(stored(settings, "BTCUSDC")) == 30


def test_without_symbols_and_start_every_stored_one_goes_on(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-02", "2024-01-02")
    results = manager.update_assets_batch()
    assert list(results) == ["BTCUSDC", "ETHUSDC"]
    for symbol in results:
        assert stored(settings, symbol) == served(exchange, symbol, start=datetime(2024, 1, 2))


def test_a_late_candle_is_no_gap_and_comes_with_the_next_run(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    whole = exchange.market["BTCUSDC"].candles
    exchange.market.replace("BTCUSDC", whole.slice(0, whole.num_rows - 2))
    manager.update_assets_batch(["BTCUSDC"], "2024-01-03")
    assert len(stored(settings, "BTCUSDC")) == 1_438
    exchange.market.replace("BTCUSDC", whole)
    manager.update_assets_batch(["BTCUSDC"])
    assert stored(settings, "BTCUSDC") == served(exchange, "BTCUSDC", start=datetime(2024, 1, 3))


def test_a_symbol_that_is_not_ascii_is_downloaded(tmp_path: Path) -> None:
    symbol = "币安人生USDT"
    market = generate_market([symbol], start=START, end=START + timedelta(hours=2))
    with LoopbackExchange(market) as exchange:
        (tmp_path / "paths.toml").write_text(f'[data.api]\nbase_url = "{exchange.url}"\n')
        with IngestionManager() as manager:
            assert manager.update_assets_batch([symbol], "2024-01-01")[symbol].rows_added == 120
            assert manager.candles(symbol, "1h").num_rows == 2


# Refresh and dry run


def test_refresh_asks_again_and_records_what_differs(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-03", "2024-01-03")
    candles = exchange.market["BTCUSDC"].candles
    volumes = [volume + (number == candles.num_rows - 5) for number, volume in enumerate(candles["volume"].to_pylist())]
    changed = candles.set_column(candles.schema.get_field_index("volume"), "volume", [volumes])
    exchange.market.replace("BTCUSDC", changed.slice(0, candles.num_rows - 1))
    exchange.now = datetime(2024, 1, 5, tzinfo=UTC)
    results = manager.update_assets_batch(["BTCUSDC"], "2024-01-03", "2024-01-03", refresh=True)
    assert (results["BTCUSDC"].rows_added, results["BTCUSDC"].rows_revised) == (0, 2)
    assert stored(settings, "BTCUSDC") == served(exchange, "BTCUSDC", start=datetime(2024, 1, 3))
    assert ask(settings, "select open_time, new_close is null, applied from revisions order by 1") == [
        (datetime(2024, 1, 3, 23, 55), False, True),
        (datetime(2024, 1, 3, 23, 59), True, True),
    ]


def test_a_dry_run_plans_and_writes_nothing(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    results = manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-03", dry_run=True)
    plan = results["BTCUSDC"].plan
    assert results["BTCUSDC"].status == "planned"
    assert plan is not None
    assert [(request.requests, request.weight, request.rows) for request in plan.requests] == [(5, 10, 4_319)]
    assert [(call.path, call.params["startTime"]) for call in exchange.requests] == [("/api/v3/klines", "0")]
    assert not settings.store.database.exists()


def test_a_dry_run_of_new_symbols_plans_each_from_its_listing_and_reports_one_that_is_unknown(
    manager: IngestionManager, exchange: LoopbackExchange
) -> None:
    results = manager.update_assets_batch(["SOLUSDC", "NOPE", "BTCUSDC"], dry_run=True)
    assert {symbol: result.status for symbol, result in results.items()} == {
        "SOLUSDC": "planned",
        "NOPE": "failed",
        "BTCUSDC": "planned",
    }
    plan = results["SOLUSDC"].plan
    assert plan is not None
    assert (plan.missing[0].start, plan.missing[-1].end) == (datetime(2024, 1, 2, 12, 1), datetime(2024, 1, 4))
    assert [call.params["startTime"] for call in exchange.requests.klines] == ["0"] * 3
    before = manager.update_assets_batch(["SOLUSDC"], "2024-01-01", "2024-01-01", dry_run=True)
    assert before["SOLUSDC"].status == "up_to_date"


def test_a_start_back_from_now_counts_by_the_exchanges_clock(manager: IngestionManager) -> None:
    results = manager.update_assets_batch(["BTCUSDC"], "90m")
    assert results["BTCUSDC"].rows_added == 90
    assert manager.update_assets_batch(["BTCUSDC"], "yesterday", "yesterday")["BTCUSDC"].rows_added == 1_440 - 90
    assert manager.download_ohlcv_1m("ETHUSDC", "1d")["open_time"][0].as_py() == datetime(2024, 1, 3)


def test_a_dry_run_of_what_is_covered_plans_nothing(manager: IngestionManager) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-02", "2024-01-02")
    results = manager.update_assets_batch(["BTCUSDC"], "2024-01-02", "2024-01-02", dry_run=True)
    assert results["BTCUSDC"].status == "up_to_date"


# Failures


def test_a_failing_symbol_does_not_stop_the_others(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    results = manager.update_assets_batch(["BTCUSDC", "NOPEUSDC", "ETHUSDX", "eth/usdc"], "2024-01-01", "2024-01-03")
    host = exchange.url.removeprefix("http://")
    assert {symbol: (result.status, result.error) for symbol, result in results.items()} == {
        "BTCUSDC": ("ok", None),
        "NOPEUSDC": ("failed", f"{host} has no symbol 'NOPEUSDC'."),
        "ETHUSDX": ("failed", f"{host} has no symbol 'ETHUSDX'. Did you mean ETHUSDC?"),
        "ETHUSDC": ("ok", None),
    }
    assert stored(settings, "ETHUSDC") == served(exchange, "ETHUSDC")


def test_a_symbol_that_breaks_off_keeps_what_came_and_goes_on_later(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    third_page = int((START + 2_000 * MINUTE).replace(tzinfo=UTC).timestamp() * 1_000)
    exchange.fail(503, times=None, match=lambda request: int(request.params.get("startTime", 0)) >= third_page)
    results = manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-03")
    assert results["BTCUSDC"].status == "failed"
    assert "503" in str(results["BTCUSDC"].error)
    assert results["BTCUSDC"].rows_added == len(stored(settings, "BTCUSDC"))
    half = stored(settings, "BTCUSDC")
    assert half == served(exchange, "BTCUSDC")[: len(half)]
    assert len(half) > 1_500
    exchange.clear_faults()
    manager.update_assets_batch(["BTCUSDC"])
    assert stored(settings, "BTCUSDC") == served(exchange, "BTCUSDC")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        pytest.param(418, "has banned this address until", id="418"),
        pytest.param(451, "does not serve your location", id="451"),
    ],
)
def test_an_answer_for_the_whole_host_stops_the_run(
    settings: Settings, exchange: LoopbackExchange, status: int, message: str
) -> None:
    one_at_once = replace(settings, processing=replace(settings.processing, default_batch_size=1))
    exchange.fail(status, times=None, match="BTCUSDC")
    with IngestionManager(one_at_once) as manager:
        results = manager.update_assets_batch(["BTCUSDC", "ETHUSDC", "SOLUSDC"], "2024-01-01", "2024-01-03")
    assert [result.status for result in results.values()] == ["failed"] * 3
    assert all(message in str(result.error) for result in results.values())
    assert len(exchange.requests) == 1


def test_a_manager_goes_on_after_a_run_that_was_stopped(manager: IngestionManager, exchange: LoopbackExchange) -> None:
    exchange.fail(418)
    assert manager.update_assets_batch(["BTCUSDC"], "2024-01-03", "2024-01-03")["BTCUSDC"].status == "failed"
    assert manager.update_assets_batch(["BTCUSDC"], "2024-01-03")["BTCUSDC"].rows_added == 1_440


def test_a_clock_that_cannot_be_asked_is_a_download_error(
    manager: IngestionManager, exchange: LoopbackExchange
) -> None:
    exchange.fail(503, times=None, match="/api/v3/time")
    with pytest.raises(DownloadError, match="failed to answer for its clock: 503"):
        manager.update_assets_batch(["BTCUSDC"])


def test_a_first_row_that_was_garbled_does_not_hide_the_symbol(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    exchange.fail("null_values", match=lambda request: request.params.get("limit") == "1")
    manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-03")
    assert stored(settings, "BTCUSDC") == served(exchange, "BTCUSDC")


def test_a_rejected_row_is_kept_with_its_reason(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    # Twice: what looks garbled once is asked again, and what the exchange says twice is taken.
    exchange.fail("null_values", times=2, match=lambda request: request.params.get("startTime") == "1704153600000")
    results = manager.update_assets_batch(["BTCUSDC"], "2024-01-02", "2024-01-02")
    assert (results["BTCUSDC"].rows_rejected, results["BTCUSDC"].rows_added) == (1, 1_439)
    ((minute, reason),) = ask(settings, "select minute, reason from rejected_rows")
    assert reason == "unreadable"
    assert gaps(settings, "BTCUSDC") == [(minute, minute + MINUTE, "rejected")]


@pytest.mark.parametrize("fault", ["drop", "truncate", "cut_body", "html_200", "duplicate_rows", "unordered_rows", 500])
def test_passing_faults_change_nothing_that_is_stored(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange, fault: Any
) -> None:
    exchange.fail(fault, times=3)
    assert manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-03")["BTCUSDC"].status == "ok"
    assert stored(settings, "BTCUSDC") == served(exchange, "BTCUSDC")


def test_a_store_that_cannot_be_written_ends_the_run(
    manager: IngestionManager, exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(store: Store, batches: Any) -> Any:
        raise StoreError("The disk is full.")

    exchange.market.update(generate_market(["BTCUSDC"], start=datetime(2023, 11, 1), end=END))
    monkeypatch.setattr(download, "COMMIT_ROWS", 1_000)
    monkeypatch.setattr(download, "append_to_store", refuse)
    with pytest.raises(StoreError, match="The disk is full"):
        manager.update_assets_batch(["BTCUSDC"], "2023-11-01", "2024-01-03")
    assert len(exchange.requests.klines) < 80  # of 93 pages


def test_arguments_without_sense_are_refused(manager: IngestionManager, exchange: LoopbackExchange) -> None:
    with pytest.raises(UsageError, match="The range is empty"):
        manager.update_assets_batch(["BTCUSDC"], "2024-01-02", "2024-01-01")
    with pytest.raises(UsageError, match="Cannot read the time"):
        manager.update_assets_batch(["BTCUSDC"], "soon")
    with pytest.raises(UsageError, match=r"Nothing is stored in .* yet\. Name a symbol: threadx ingest BTCUSDC"):
        manager.update_assets_batch()
    assert exchange.requests == []


# Interruptions


@pytest.fixture
def uninterrupted(settings: Settings, tmp_path: Path) -> list[tuple[Any, ...]]:
    """Every candle that a run without interruptions stores."""
    whole = replace(settings, store=replace(settings.store, database=tmp_path / "whole.duckdb"))
    with IngestionManager(whole) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-03")
    return stored(whole, "BTCUSDC") + stored(whole, "ETHUSDC")


@pytest.mark.parametrize("answers", [1, 2, 4, 7])
def test_an_interrupted_run_that_is_resumed_gives_the_same_rows(
    settings: Settings, uninterrupted: list[tuple[Any, ...]], answers: int
) -> None:
    with IngestionManager(settings, progress=StopAfter(answers)) as manager:
        with pytest.raises(KeyboardInterrupt):
            manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-03")
        counted = sum(result.rows_added for result in manager.results.values())
    assert ask(settings, "select count(*) from candles_1m") == [(counted,)]
    assert counted > 0
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-03")
    assert stored(settings, "BTCUSDC") + stored(settings, "ETHUSDC") == uninterrupted


def test_a_stopped_run_stores_what_came_and_says_so(settings: Settings, exchange: LoopbackExchange) -> None:
    progress = StopAfter(2)
    with IngestionManager(settings, progress=progress) as manager:
        progress.action = manager.stop
        exchange.market.update(generate_market(["BTCUSDC"], start=datetime(2023, 11, 1), end=END))
        results = manager.update_assets_batch(["BTCUSDC"], "2023-11-01", "2024-01-03")
    assert (results["BTCUSDC"].status, results["BTCUSDC"].error) == ("failed", "The run was stopped.")
    assert len(stored(settings, "BTCUSDC")) == results["BTCUSDC"].rows_added > 0
    last = stored(settings, "BTCUSDC")[-1][1]
    assert stored(settings, "BTCUSDC") == served(exchange, "BTCUSDC", datetime(2023, 11, 1), last + MINUTE)


def test_a_killed_run_leaves_no_hole(settings: Settings, exchange: LoopbackExchange, tmp_path: Path) -> None:
    third_page = int((START + 2_000 * MINUTE).replace(tzinfo=UTC).timestamp() * 1_000)
    exchange.fail("stall", times=None, match=lambda r: int(r.params.get("startTime", 0)) >= third_page)
    with subprocess.Popen(
        [sys.executable, "-c", INGEST_IN_SMALL_COMMITS], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert line.startswith("committed ")
    half = stored(settings, "BTCUSDC")
    assert half == served(exchange, "BTCUSDC")[: len(half)]
    assert 0 < len(half) < len(served(exchange, "BTCUSDC"))
    exchange.clear_faults()
    with IngestionManager(settings) as manager:
        manager.update_assets_batch()
    assert stored(settings, "BTCUSDC") == served(exchange, "BTCUSDC")
    assert gaps(settings, "BTCUSDC") == [(*OUTAGE, "not_published")]


@pytest.mark.parametrize("rows", [1, 2_500])
def test_the_size_of_commits_changes_no_row(
    settings: Settings, uninterrupted: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(download, "COMMIT_ROWS", rows)
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-03")
    assert stored(settings, "BTCUSDC") + stored(settings, "ETHUSDC") == uninterrupted


# Reading


def test_derived_candles_equal_the_exchanges_own(manager: IngestionManager, exchange: LoopbackExchange) -> None:
    manager.update_assets_batch(["ETHUSDC"], "2024-01-01", "2024-01-03")
    for timeframe in ("5m", "1h", "4h", "1d"):
        ours = manager.candles("ETHUSDC", timeframe).to_pylist()
        theirs = exchange.market.native("ETHUSDC", timeframe).to_pylist()
        names = ("open_time", "open", "high", "low", "close", "trade_count")
        assert [[row[name] for name in names] for row in ours] == [[row[name] for name in names] for row in theirs]


def test_candles_of_a_range_open_in_it(manager: IngestionManager) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-02", "2024-01-03")
    table = manager.candles("BTCUSDC", "3h", "2024-01-02T01:00", "2024-01-02")
    assert [moment.hour for moment in table["open_time"].to_pylist()] == [3, 6, 9, 12, 15, 18, 21]
    assert set(table["minutes"].to_pylist()) == {180}


def test_candles_of_an_outage_are_incomplete_until_filled(manager: IngestionManager) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")
    day = manager.candles("BTCUSDC", "1d").to_pylist()[0]
    assert (day["minutes"], day["expected_minutes"], day["is_complete"]) == (1_320, 1_440, False)
    filled = manager.candles("BTCUSDC", "1d", fill=True).to_pylist()[0]
    assert (filled["filled_minutes"], filled["volume"]) == (120, pytest.approx(day["volume"]))


def test_max_gap_fill_hours_is_the_longest_gap_filled(manager: IngestionManager, settings: Settings) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")
    less = replace(settings, processing=replace(settings.processing, max_gap_fill_hours=1.5))
    with IngestionManager(less) as other:
        assert other.candles("BTCUSDC", "1d", fill=True)["filled_minutes"].to_pylist() == [0]


def test_candles_without_a_store_or_symbol_are_refused(manager: IngestionManager) -> None:
    with pytest.raises(StoreError, match="There is no store at"):
        manager.candles("BTCUSDC")
    manager.update_assets_batch(["BTCUSDC"], "2024-01-03", "2024-01-03")
    with pytest.raises(UsageError, match=r"^Not stored: NOPE\. Run: threadx ingest NOPE$"):
        manager.candles("NOPE", "1h")
    with pytest.raises(UnknownTimeframeError):
        manager.candles("BTCUSDC", "7x")


def test_candles_of_a_range_without_any_are_an_empty_table(manager: IngestionManager) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-03", "2024-01-03")
    table = manager.candles("BTCUSDC", "1h", "2020-01-01", "2020-01-02")
    assert table.num_rows == 0
    assert table.column_names[:3] == ["symbol", "open_time", "open"]


def test_a_market_without_candles_of_a_symbol_stores_nothing(
    manager: IngestionManager, settings: Settings, exchange: LoopbackExchange
) -> None:
    market = Market(exchange.market)
    exchange.market.replace("SOLUSDC", market["SOLUSDC"].candles.slice(0, 0))
    results = manager.update_assets_batch(["SOLUSDC"], "2024-01-01", "2024-01-03")
    assert (results["SOLUSDC"].status, results["SOLUSDC"].rows_added) == ("ok", 0)


class Totals(Progress):
    """Adds up what a run says is due and what it has covered."""

    def __init__(self) -> None:
        self.due = 0
        self.covered = 0

    def started(self, plans: list[SymbolPlan]) -> None:
        self.due += sum(plan.minutes for plan in plans)

    def shortened(self, symbol: str, minutes: int) -> None:
        self.due -= minutes

    def received(self, symbol: str, minutes: int, rows: int, calls: int) -> None:
        self.covered += minutes


def test_progress_of_a_symbol_from_its_listing_ends_at_all_that_is_due(settings: Settings) -> None:
    totals = Totals()
    with IngestionManager(settings, progress=totals) as manager:
        manager.update_assets_batch(["SOLUSDC"])
    # The first candle is stored by the request that found it.
    assert totals.due == totals.covered == (END - LISTED) // MINUTE - 1
