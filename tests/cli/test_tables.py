"""Tables on a real terminal: nothing is cut at any width, and what is left out is named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest

from tests.conftest import END, Invoke
from tests.support.screens import Screen, run_on_terminal, shown
from threadx_duck.cli.main import run
from threadx_duck.simulator import LoopbackExchange, Market

OnTerminal = Callable[..., Screen]

_ALTERED = """
update candles_1m set volume = volume + 0.1 + 0.2, high = 43318.55, low = 43318.56, trade_count = 1234567
where symbol = 'BTCUSDC' and open_time = timestamp '2024-01-02 10:17'
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, made_market: Market) -> Iterator[Path]:
    """A folder with ``paths.toml`` and three stores: whole, with a wrong candle, and with that one repaired."""
    folder = tmp_path_factory.mktemp("tables")
    with LoopbackExchange(Market(made_market), now=END.replace(tzinfo=UTC)) as exchange:
        (folder / "paths.toml").write_text(
            f'[data]\nbase_data_path = "{folder}"\n[data.store]\ndatabase = "whole.duckdb"\n'
            f'[data.api]\nbase_url = "{exchange.url}"\n[data.archive]\nenabled = false\n'
        )
        command = ["--quiet", "--config", str(folder / "paths.toml")]
        assert run([*command, "ingest", "BTCUSDC", "ETHUSDC", "SOLUSDC", "--start", "2024-01-01"]) == 0
        shutil.copyfile(folder / "whole.duckdb", folder / "wrong.duckdb")
        with duckdb.connect(folder / "wrong.duckdb") as connection:
            connection.execute(_ALTERED)
        shutil.copyfile(folder / "wrong.duckdb", folder / "repaired.duckdb")
        run([*command, "--db", str(folder / "repaired.duckdb"), "verify", "BTCUSDC", "-t", "1h", "--repair"])
        yield folder


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch, folder: Path) -> OnTerminal:
    """Runs a command line on a terminal: ``on_terminal(80, "status")``; on another store: ``store="wrong"``."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.chdir(folder)

    def call(width: int, *arguments: str, store: str = "whole") -> Screen:
        return run_on_terminal(monkeypatch, width, "--db", f"{store}.duckdb", *arguments)

    return call


# screens


def test_status_at_80_columns(on_terminal: OnTerminal) -> None:
    assert on_terminal(80, "status").lines[:6] == [
        "symbol    first candle       last candle        candles   missing   complete",
        "────────────────────────────────────────────────────────────────────────────",
        "BTCUSDC   2024-01-01 00:00   2024-01-03 23:59     4,200       120   97.22 %",
        "ETHUSDC   2024-01-01 00:00   2024-01-03 23:59     4,200       120   97.22 %",
        "SOLUSDC   2024-01-02 12:00   2024-01-03 23:59     2,160         0   100.00 %",
        "(Too narrow for: last asked. A wider terminal shows more, --json all.)",
    ]


def test_status_at_100_columns(on_terminal: OnTerminal) -> None:
    screen = on_terminal(100, "status")
    assert screen.lines[0].endswith("missing   complete   last asked")
    assert "Too narrow" not in screen.text


CANDLES = ("candles", "BTCUSDC", "12h", "--start", "2024-01-02", "--end", "2024-01-02")


def test_candles_at_80_columns(on_terminal: OnTerminal) -> None:
    lines = on_terminal(80, *CANDLES).lines
    assert lines[0].split() == ["open_time", "open", "high", "low", "close", "volume", "is_complete"]
    assert [len(line) for line in lines[:4]] == [80, 80, 80, 80]
    assert lines[4:7] == [
        "(Too narrow for: symbol, quote_volume, trade_count, taker_buy_volume,",
        "taker_buy_quote_volume, minutes, expected_minutes. A wider terminal shows more,",
        "--format csv all.)",
    ]


def test_candles_at_100_columns_show_more(on_terminal: OnTerminal) -> None:
    names = on_terminal(100, *CANDLES).lines[0].split()
    assert names == ["open_time", "open", "high", "low", "close", "volume", "trade_count", "is_complete"]


def test_candles_at_40_columns_stand_below_one_another(on_terminal: OnTerminal) -> None:
    lines = on_terminal(40, *CANDLES).lines
    assert lines[0] == "─── 1 of 2 ───"
    assert lines[1:3] == ["symbol                  BTCUSDC", "open_time               2024-01-02 00:00"]
    assert lines[15] == "─── 2 of 2 ───"
    assert [line.split()[0] for line in lines[1:15]] == [line.split()[0] for line in lines[16:30]]


def test_check_at_80_columns_folds_its_sentences_and_keeps_its_numbers(on_terminal: OnTerminal) -> None:
    lines = on_terminal(80, "check", store="wrong").lines
    assert lines[0] == "check                        rows  what it finds"
    at = next(number for number, line in enumerate(lines) if line.startswith("impossible_price"))
    assert lines[at : at + 2] == [
        "impossible_price                1  candles whose prices are not positive, not",
        "                                   finite, or not in order.",
    ]


def test_a_query_of_30_columns_is_one_value_a_line(on_terminal: OnTerminal) -> None:
    columns = ", ".join(f"open_time + interval {n} minute as time_{n}, close * {n} as close_{n}" for n in range(15))
    statement = f"select {columns} from candles_1h where symbol = 'BTCUSDC' order by open_time limit 2"
    lines = on_terminal(100, "query", statement).lines
    assert lines[0] == "─── 1 of 2 ───"
    assert [line.split()[0] for line in lines[1:31]] == [f"{name}_{n}" for n in range(15) for name in ("time", "close")]
    assert lines[29].endswith("2024-01-01 00:14")


def test_what_does_not_fit_beside_its_name_stands_below_it(on_terminal: OnTerminal) -> None:
    lines = on_terminal(40, "query", "select repeat('ab', 20) as word, repeat('four ', 12) as words").lines
    assert lines[:5] == ["word", "  " + "ab" * 19, "ab", "words", "  " + "four " * 6 + "four"]


def test_wide_letters_take_two_columns(on_terminal: OnTerminal) -> None:
    lines = on_terminal(40, "query", "select '币安人生USDT' as symbol, 1.5 as price").lines
    assert lines[:3] == ["symbol         price", "────────────────────", "币安人生USDT     1.5"]


def test_doctor_folds_its_sentences_below_their_beginning(on_terminal: OnTerminal) -> None:
    lines = on_terminal(50, "doctor", store="wrong").lines
    at = next(number for number, line in enumerate(lines) if line.startswith("PROBLEM checks: "))
    assert all(len(line) <= 50 for line in lines[at : at + 2])
    assert lines[at + 1].startswith(" " * 8)
    assert lines[at + 1][8] != " "


# every width


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a document with the name that it stands under."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _numbers(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from _numbers(part, key)
    elif value is not None and not isinstance(value, bool):
        yield key, value


def _decimals(words: list[str]) -> set[Decimal]:
    found = set()
    for word in words:
        try:
            found.add(Decimal(word.replace(",", "")))
        except InvalidOperation:
            continue
    return found


# What a command prints of its document: the column of each name, for the names that are numbers, times and symbols.
SHOWN = {
    "status": (
        ["status"],
        {
            "symbol": "symbol",
            "first_open_time": "first candle",
            "last_open_time": "last candle",
            "candles": "candles",
            "missing": "missing",
            "last_requested_at": "last asked",
        },
    ),
    "gaps": (
        ["gaps"],
        {"symbol": "symbol", "gap_start": "from", "gap_end": "to (exclusive)", "missing": "missing",
         "symbols_asked": "asked", "symbols_absent": "absent", "reason": "reason"},
    ),
    "check": (["check"], {"name": "check", "rows": "rows", "high": "", "low": "", "symbol": ""}),
    "verify": (
        ["verify", "BTCUSDC", "-t", "1h"],
        {"symbol": "symbol", "open_time": "open time", "field": "field", "ours": "ours", "theirs": "theirs",
         "range_start": "from", "range_end": "to (exclusive)", "timeframe": "differs at"},
    ),
    "diff": (
        ["diff", "whole.duckdb"],
        {"symbol": "symbol", "range_start": "from", "range_end": "to (exclusive)", "minutes": "minutes",
         "open_time": "open time", "field": "field", "here": "here", "there": "there"},
    ),
    "revisions": (
        ["revisions"],
        {"symbol": "symbol", "open_time": "open time", "field": "field", "old": "old", "new": "new",
         "old_source": "old source", "new_source": "new source"},
    ),
    "fingerprint": (["fingerprint"], {"symbol": "symbol", "month": "month", "candles": "candles"}),
    "symbols": (["symbols"], {"symbol": "symbol", "status": "status", "base": "base", "quote": "quote"}),
    "explain": (
        ["explain", "BTCUSDC", "2024-01-02T10:17"],
        {"symbol": "", "open": "", "high": "", "low": "", "close": "", "volume": "", "quote_volume": "",
         "trade_count": "", "request_id": "", "old": "old", "new": "new"},
    ),
}  # fmt: skip

STORES = {"check": "wrong", "verify": "wrong", "diff": "wrong", "revisions": "repaired", "explain": "repaired"}

WIDTHS = [40, 57, 64, 72, 79, 80, 81, 90, 100, 120, 144, 200]


def _require_whole(screen: Screen, document: Any, columns: dict[str, str]) -> None:
    text = " ".join(line.strip() for line in screen.lines)
    left_out = {name for named in re.findall(r"\(Too narrow for: (.*?)\. A wider", text) for name in named.split(", ")}
    words = text.split()
    decimals = _decimals(words)
    assert "…" not in text
    for name, value in _numbers(document):
        column = columns.get(name)
        if column is None or column in left_out:
            continue
        if isinstance(value, int | float):
            assert Decimal(repr(value)) in decimals, (name, value)
        elif re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value):
            assert value[:16].replace("T", " ") in text, (name, value)
        else:
            assert value.replace("_", " ") in text or value in words, (name, value)


@pytest.mark.slow
@pytest.mark.parametrize("what", SHOWN)
def test_every_number_and_symbol_is_whole_or_its_column_is_named(
    on_terminal: OnTerminal, invoke: Invoke, what: str
) -> None:
    arguments, columns = SHOWN[what]
    store = STORES.get(what, "whole")
    document = orjson.loads(invoke("--db", f"{store}.duckdb", *arguments, "--json").stdout)
    # Sums of the whole, which no row shows.
    document = {name: part for name, part in document.items() if what == "explain" or isinstance(part, list)}
    assert any(name in columns for name, _ in _numbers(document))
    for width in WIDTHS:
        _require_whole(on_terminal(width, *arguments, store=store), document, columns)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("candles", "ETHUSDC", "3h"), ("query", "from candles_1d")], ids=" ".join)
def test_every_candle_is_whole_or_its_column_is_named(
    on_terminal: OnTerminal, invoke: Invoke, arguments: tuple[str, ...]
) -> None:
    rows = orjson.loads(invoke("--db", "whole.duckdb", *arguments, "--format", "json").stdout)
    for width in WIDTHS:
        _require_whole(on_terminal(width, *arguments), rows, {name: name for name in rows[0]})


def test_the_screen_of_the_tests_cuts_as_a_terminal_does() -> None:
    assert shown("a 43318.55\r\n", 6) == ["a 4331", "8.55", ""]


# what is left out


def test_a_long_table_ends_with_how_to_get_all(on_terminal: OnTerminal) -> None:
    lines = on_terminal(80, "query", "select range as n from range(1500)").lines
    assert lines[2].strip() == "500"
    assert lines[-2:] == ["(The last 1,000 of 1,500 rows; --format csv prints all.)", ""]


def test_long_records_end_with_how_to_get_all(on_terminal: OnTerminal) -> None:
    lines = on_terminal(40, "candles", "BTCUSDC", "1h").lines
    assert lines[0] == "─── 5 of 70 ───"
    assert lines[-2:-1] == ["prints all.)"]


def test_a_pipe_gets_every_column(invoke: Invoke, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "40")
    heading = invoke(*CANDLES).stdout.splitlines()[0]
    assert heading.split()[:2] == ["symbol", "open_time"]
    assert len(heading.split()) == 14


# colours


def test_a_fault_is_red(on_terminal: OnTerminal) -> None:
    assert "\x1b[31m" in on_terminal(80, "check", store="wrong").sent
    assert "\x1b[" not in on_terminal(80, "check").sent


def test_a_problem_is_red(on_terminal: OnTerminal) -> None:
    assert "\x1b[31mPROBLEM\x1b[0m checks" in on_terminal(80, "doctor", store="wrong").sent


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_left_out_where_nobody_wants_them(
    on_terminal: OnTerminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert "\x1b" not in on_terminal(80, "check", store="wrong").sent


def test_a_pipe_gets_no_colours(invoke: Invoke, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert "\x1b" not in invoke("--db", "wrong.duckdb", "check").stdout


def test_what_failed_is_red(on_terminal: OnTerminal, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("neither,candles\n1,2\n")
    screen = on_terminal(80, "import", str(tmp_path / "odd.csv"), "--symbol", "BTCUSDC")
    assert screen.code == 1
    assert "\x1b[31mfailed" in screen.sent
