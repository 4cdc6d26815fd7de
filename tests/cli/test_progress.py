"""What a person sees of a download on a real terminal: while it runs, while it waits, and after Ctrl-C."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from threadx_duck.candles.times import utc_now
from threadx_duck.cli.progress import TerminalProgress
from threadx_duck.download.results import SymbolResult
from threadx_duck.exchange.waits import Wait, Waits
from threadx_duck.simulator import LoopbackExchange, generate_market

if os.name == "posix":
    from tests.support.progress_screen import ScreenedProcess, on_terminal

on_a_terminal = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")]

START, DAYS = datetime(2024, 1, 1), 3
SYMBOLS = [f"A{number:02}USDC" for number in range(30)]
RANGE = ["--start", "2024-01-01", "--end", "2024-01-03"]


@pytest.fixture
def many(tmp_path: Path) -> Iterator[LoopbackExchange]:
    """An exchange with more symbols than a small screen has lines."""
    end = START + timedelta(days=DAYS)
    market = generate_market(SYMBOLS, start=START, end=end)
    with LoopbackExchange(market, now=(end + timedelta(hours=1)).replace(tzinfo=UTC), latency=0.05) as serving:
        _write_settings(tmp_path, serving.url)
        yield serving


def _write_settings(folder: Path, url: str, more: str = "retry_delay = 0.0") -> None:
    (folder / "paths.toml").write_text(f'[data.api]\nbase_url = "{url}"\n{more}\n[data.archive]\nenabled = false\n')


def _count(folder: Path) -> dict[str, int]:
    with duckdb.connect(str(folder / "data" / "threadx.duckdb"), read_only=True) as connection:
        return dict(connection.execute("select symbol, count(*) from candles_1m group by symbol").fetchall())


def _bars(screen: list[str]) -> list[str]:
    return [line for line in screen if "━" in line or "─ " in line]


def _totals(process: ScreenedProcess) -> list[int]:
    """The numbers of finished symbols that the line of the whole has shown."""
    found = (re.match(r"total .* (\d+) of 30 symbols", line) for screen in process.seen for line in screen)
    return [int(match[1]) for match in found if match]


class TestOnATerminal:
    pytestmark = on_a_terminal

    def test_the_whole_stands_first_and_finished_symbols_go(self, many: LoopbackExchange, tmp_path: Path) -> None:
        with on_terminal("ingest", *SYMBOLS, *RANGE, folder=tmp_path, lines=12) as process:
            assert process.read_to_end() == 0
        drawn = [bars for bars in map(_bars, process.seen) if bars]
        assert drawn
        for bars in drawn:
            assert bars[0].startswith("total ")
            # Five are downloaded at once by default; a screen may be read while it is being drawn.
            assert len(bars) <= 6
            assert all(re.fullmatch(r"(total |A\d\dUSDC) ?[━─]+ +\d+ % .*", bar) for bar in bars), bars
        totals = _totals(process)
        assert totals == sorted(totals)
        assert len(set(totals)) > 2
        assert {bar[:7] for bars in drawn for bar in bars[1:]} <= {symbol[:7] for symbol in SYMBOLS}
        # Nothing of the bars is left.
        assert not _bars(process.lines)
        assert not process.is_cursor_hidden
        assert any(line.startswith("note: 129,600 candles in ") for line in process.lines)
        assert _count(tmp_path) == dict.fromkeys(SYMBOLS, DAYS * 1_440)

    def test_log_lines_said_during_the_run_stay(self, many: LoopbackExchange, tmp_path: Path) -> None:
        with on_terminal("--verbose", "ingest", *SYMBOLS, *RANGE, folder=tmp_path, columns=200, lines=12) as process:
            assert process.read_to_end() == 0
        logged = (tmp_path / "data" / "logs" / "data_ingestion.log", tmp_path / "logs" / "data_ingestion.log")
        lines = next(path for path in logged if path.exists()).read_text(encoding="utf-8").splitlines()
        assert len(lines) > 30
        # The lines wrap at the screen's edge, as the terminal does it.
        said = "".join(process.lines)
        assert [line for line in lines if line not in said] == []
        assert not _bars(process.lines)

    def test_ctrl_c_ends_with_what_is_stored_and_how_to_go_on(self, many: LoopbackExchange, tmp_path: Path) -> None:
        many.latency = 0.2
        with on_terminal("ingest", *SYMBOLS, *RANGE, folder=tmp_path, columns=100, lines=14) as process:
            process.read_until(lambda screen: any(re.search(r"total .* [5-9] of 30 symbols", line) for line in screen))
            process.interrupt()
            assert process.read_to_end() == 130
        stored = _count(tmp_path)
        assert 5 <= len(stored) < 30
        named = ", ".join(f"{symbol} {stored[symbol]:,}" for symbol in sorted(stored)[:5])
        more = f" and {len(stored) - 5} more" if len(stored) > 5 else ""
        last = (
            f"note: Stopped. {sum(stored.values()):,} new candles of {len(stored)} of 30 symbols are stored: "
            f"{named}{more}. The same command goes on from there."
        )
        said = "".join(process.lines)
        assert _unbroken(said).endswith(_unbroken(last))
        assert _unbroken("note: Stopping after the batch in hand; press Ctrl-C again to stop at once.") in _unbroken(
            said
        )
        assert not any("failed" in line or "with errors" in line for screen in process.seen for line in screen)
        assert not _bars(process.lines)
        assert not process.is_cursor_hidden
        with on_terminal("ingest", *SYMBOLS, *RANGE, folder=tmp_path) as process:
            assert process.read_to_end() == 0
        assert _count(tmp_path) == dict.fromkeys(SYMBOLS, DAYS * 1_440)

    def test_a_second_ctrl_c_leaves_a_clean_screen(self, many: LoopbackExchange, tmp_path: Path) -> None:
        many.fail("stall", times=None, match=lambda request: len(many.requests.klines) > 20, seconds=60.0)
        with on_terminal("ingest", *SYMBOLS, *RANGE, folder=tmp_path, columns=110) as process:
            process.read_until(lambda screen: bool(_bars(screen)) and len(many.requests.klines) > 24)
            process.interrupt()
            process.read_until(lambda screen: any("press Ctrl-C again" in line for line in screen))
            process.interrupt()
            assert process.read_to_end() == 130
        assert process.lines[-1].startswith("threadx: interrupted at once; what was committed is stored, and the same")
        assert not _bars(process.lines)
        assert not process.is_cursor_hidden

    @pytest.mark.parametrize(
        ("status", "why"),
        [
            pytest.param(429, "is over its request limit (429).", id="429"),
            pytest.param(503, "asks to wait (503).", id="503"),
        ],
    )
    def test_a_wait_names_the_host_the_next_try_and_the_time(
        self, many: LoopbackExchange, tmp_path: Path, status: int, why: str
    ) -> None:
        host = many.url.removeprefix("http://")
        many.fail(status, times=1, match="/api/v3/klines", retry_after=6)
        with on_terminal("ingest", "A00USDC", *RANGE, folder=tmp_path, columns=120) as process:
            shown = process.read_until(lambda screen: any(line.startswith("waiting until ") for line in screen))
            assert process.read_to_end() == 0
        line = next(line for line in shown if line.startswith("waiting until "))
        match = re.fullmatch(rf"waiting until (\d\d:\d\d:\d\d) UTC, then try 2 of 4: {host} {re.escape(why)}", line)
        assert match, line
        assert f"note: {host} {why} Waiting 6 seconds, until {match[1]} UTC, then try 2 of 4." in process.lines
        # It goes when the wait is over.
        assert not any(line.startswith("waiting until ") for line in process.screen)

    @pytest.mark.parametrize("columns", [30, 80])
    def test_without_a_network_the_sentence_names_the_host_and_the_doctor(self, tmp_path: Path, columns: int) -> None:
        with socket.socket() as taken:
            # Nobody listens there, and nobody else can.
            taken.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{taken.getsockname()[1]}"
            _write_settings(tmp_path, f"http://{host}", "retry_delay = 2.0\nmax_retries = 1")
            with on_terminal("ingest", "BTCUSDC", *RANGE, folder=tmp_path, columns=columns) as process:
                assert process.read_to_end() == 1
        why = f"No answer from {host}: it refused the connection."
        assert _unbroken(f"threadx: error: BTCUSDC: {why} See: threadx doctor") in _unbroken("".join(process.lines))
        seen = {_unbroken("".join(screen)) for screen in process.seen}
        assert any(
            re.search(r"waitinguntil[\d:]{8}UTC,thentry2of2:" + re.escape(_unbroken(why)), text) for text in seen
        )
        assert not any("Errno" in text or "Error" in text for text in seen)

    def test_many_symbols_that_fail_alike_are_counted(self, many: LoopbackExchange, tmp_path: Path) -> None:
        many.fail(400, times=None, match=lambda request: (request.symbol or "") < "A20")
        many.latency = 0.2
        with on_terminal("ingest", *SYMBOLS, *RANGE, folder=tmp_path) as process:
            process.read_until(
                lambda screen: any(re.search(r"total .* symbols  \d+ with errors", one) for one in screen)
            )
            assert process.read_to_end() == 1


def _unbroken(text: str) -> str:
    """The text without the blanks at which a screen's edge may have cut it."""
    return text.replace(" ", "")


def _drawn(bars: TerminalProgress, console: Console) -> list[str]:
    with console.capture() as captured:
        console.print(bars._draw())
    return captured.get().splitlines()


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 100, 200])
def test_no_figure_is_cut_at_any_width(width: int) -> None:
    console = Console(width=width, height=12, force_terminal=True, color_system=None)
    bars = TerminalProgress(console)
    bars._planned = dict.fromkeys(["BTCUSDC", "1000000BABYDOGEUSDT"], 525_600)
    bars._total = 1_051_200
    for symbol in bars._planned:
        bars.began(symbol)
    bars.received("BTCUSDC", 43_200, 43_199, 44)
    bars.finished(SymbolResult("X", "failed", error="It broke."))
    lines = _drawn(bars, console)
    assert all(len(line) <= width for line in lines)
    joined = _unbroken("".join(lines))
    assert "1of2symbols" in joined
    assert "BTCUSDC" in joined
    assert "43,200of525,600minutes" in joined
    assert "1000000BABYDOGEUSDT" in joined
    if width >= 80:
        assert "1witherrors" in joined
        assert joined.startswith("total")
        assert "4%" in joined


def test_a_symbol_that_was_stopped_did_not_fail() -> None:
    console = Console(width=100, height=12, force_terminal=True, color_system=None)
    bars = TerminalProgress(console)
    bars._planned = {"BTCUSDC": 10, "ETHUSDC": 10}
    bars.finished(SymbolResult("BTCUSDC", "failed", error="The run was stopped."))
    assert "with errors" not in _drawn(bars, console)[0]
    bars.finished(SymbolResult("ETHUSDC", "failed", error="It broke."))
    assert "1 with errors" in _drawn(bars, console)[0]


def test_threads_that_wait_together_are_told_once() -> None:
    heard: list[Wait] = []
    waits = Waits()
    waits.hear = heard.append
    for seconds in (8.0, 8.5, 9.0, 10.0):
        waits.tell("one", "It refused.", seconds, attempt=2, attempts=4)
    waits.tell("one", "It refused.", 16.0, attempt=3, attempts=4)
    waits.tell("other", "It refused.", 8.0)
    waits.tell("third", "It refused.", 0.5)
    assert [(wait.host, wait.seconds, wait.next_try) for wait in heard] == [
        ("one", 8.0, "try 2 of 4"),
        ("one", 16.0, "try 3 of 4"),
        ("other", 8.0, ""),
    ]
    assert str(heard[2]) == f"It refused. Waiting 8 seconds, until {heard[2].until:%H:%M:%S} UTC."


def test_a_wait_for_the_own_budget_is_shown_but_does_not_stay() -> None:
    console = Console(width=100, height=12, force_terminal=True, color_system=None)
    bars = TerminalProgress(console)
    until = utc_now() + timedelta(seconds=40)
    wait = Wait("api.test", "api.test gets at most 9 requests.", 40.0, until, is_routine=True)
    bars.waiting(wait)
    assert _drawn(bars, console) == [f"waiting until {until:%H:%M:%S} UTC: api.test gets at most 9 requests."]
    assert not bars._said
