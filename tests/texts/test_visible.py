"""Texts from outside on the terminal and in the log: nothing in them moves a cursor, breaks a line or turns a text."""

from __future__ import annotations

import json
import logging
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadx_duck.cli.main import run
from threadx_duck.config import StoreSettings, get_settings
from threadx_duck.config.logs import set_up_logs
from threadx_duck.storage.store import Store
from threadx_duck.texts.visible import visible

EVIL = "EVIL\x1b[2J\r\nnote: all is well\u202eCDSU\u2028\x9b5m\x07"
SHOWN = r"EVIL\x1b[2J\r\nnote: all is well\u202eCDSU\u2028\x9b5m\x07"


@pytest.fixture
def store(store_path: Path, make_candles: Any) -> Store:
    made = Store(StoreSettings(database=store_path))
    with made.writing() as session, session.tables(incoming=make_candles(EVIL)):
        session.run("scratch/insert_scratch")
    return made


def _hides_nothing(text: str) -> bool:
    return not set(text) & {"\x1b", "\r", "\x07", "\u202e", "\u2028", "\x9b"}


@given(st.text())
def test_a_text_becomes_one_line_of_what_can_be_seen(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert _hides_nothing(shown)
    assert {unicodedata.category(character) for character in shown}.isdisjoint({"Cc", "Cf", "Cs", "Zl", "Zp"})


@pytest.mark.parametrize("text", ["", "BTCUSDC", "币安人生USDT", "é à", "1,234.5 \u2500 ok", "🦆"])
def test_what_can_be_seen_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("gaps",),
        ("check",),
        ("fingerprint",),
        ("query", "select symbol from candles_1m limit 1"),
        ("query", f'select 1 as "{EVIL}"'),
        ("explain", EVIL, "2024-01-01T00:01"),
        ("export", "-o", "out"),
    ],
    ids=lambda command: command[0],
)
def test_a_stored_name_is_shown_as_it_is_spelt(
    store: Store, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    run(list(command))
    shown = capsys.readouterr()
    assert _hides_nothing(shown.out + shown.err)
    assert "\nnote: all is well" not in shown.out + shown.err
    assert command == ("gaps",) or r"EVIL\x1b[2J" in shown.out or "EVIL%1B" in shown.out


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("status", EVIL + "X"), ("query", f"select {EVIL}"), ("import", EVIL), ("candles", "X", EVIL)]
)
def test_an_error_is_one_line(store: Store, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(list(command)) in {1, 2}
    err = capsys.readouterr().err
    assert _hides_nothing(err)
    assert [line for line in err.splitlines() if line.startswith("note: all")] == []
    assert err.startswith("threadx: error: ")


@pytest.mark.parametrize("flags", [(), ("--names",)])
def test_the_exchanges_names_are_shown_as_they_are_spelt(
    capsys: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    host = get_settings().api.base_url
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    Path("data").mkdir()
    Path("data/symbols.json").write_text(
        json.dumps({"host": host, "asked_at": now, "symbols": [[EVIL, "TRADING", EVIL, EVIL]]})
    )
    assert run(["symbols", *flags]) == 0
    assert SHOWN in capsys.readouterr().out


def test_a_log_line_stays_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(get_settings().logging, console=True)
    logging.getLogger("threadx_duck.sources").warning("the exchange says %s", EVIL)
    lines = Path("logs/data_ingestion.log").read_text(encoding="utf-8").split("\n")
    assert [line.partition(": ")[2] for line in lines] == [f"the exchange says {SHOWN}", ""]
    assert _hides_nothing(capsys.readouterr().err)


def test_a_traceback_in_the_log_keeps_its_lines(tmp_path: Path) -> None:
    set_up_logs(get_settings().logging, console=False)
    try:
        int(EVIL)
    except ValueError:
        logging.getLogger("threadx_duck").exception("failed")
    text = Path("logs/data_ingestion.log").read_text(encoding="utf-8")
    assert text.count("\n") > 3
    assert _hides_nothing(text)


def test_a_symbol_is_no_markup_in_the_bars() -> None:
    from rich.console import Console

    from threadx_duck.cli.progress import TerminalProgress

    console = Console(width=80, record=True)
    bars = TerminalProgress(console)
    bars.began("[red]X[/red]")
    console.print(bars._draw())
    assert "[red]X[/red] " in console.export_text()
