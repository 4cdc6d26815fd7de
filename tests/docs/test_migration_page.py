"""`docs/migration.md` is true: its commands are run in the order of the page, over the files that it names."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv
import pyarrow.feather as feather
import pytest

from tests.support.archive_helpers import END, START, SYMBOL, ingest, make_settings, select, serve, served, stored
from tests.support.evidence_helpers import DAY, HOUR, MINUTE
from tests.support.transcripts import ROOT
from threadx_duck.cli.main import run
from threadx_duck.config import TABLES, Settings, get_settings
from threadx_duck.simulator import LoopbackExchange

PAGE = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
HOURS = (END - START) // HOUR
# Three days of freqtrade's, three of ccxt's, two of a table, four of another store.
IMPORTED = 12 * 1_440
# Between the files: from the ninth of December to the end of it, a day and a half of February.
HOLES = 23 * 1_440 + 2_160
HIGH = (START + 6 * DAY, START + 8 * DAY)


def commands_after(heading: str) -> list[str]:
    """The lines of the last block of commands below a heading of the page, without their comments."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line.partition("  #")[0].strip() for line in _BLOCK.findall(section)[-1].splitlines()]


def shell(line: str) -> int:
    """Runs a line as a shell would: patterns are expanded, and what follows ``&&`` runs after a success."""
    for command in line.split("&&"):
        program, *words = shlex.split(command)
        assert program == "threadx"
        code = run(
            [name for word in words for name in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
        )
        if code:
            return int(code)
    return 0


def few_columns(exchange: LoopbackExchange, start: datetime, end: datetime) -> pa.Table:
    """What another program keeps of some of the exchange's candles."""
    candles = served(exchange.market, start, end)
    return candles.select(["open_time", "open", "high", "low", "close", "volume"])


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with serve() as serving:
        yield serving


@pytest.fixture
def older(tmp_path: Path, exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A folder with every file that the page names, each of some days; those of ``btc.csv`` are 10 % too high."""
    (tmp_path / "archive").mkdir()
    name = f"{SYMBOL}-1m-2025-01.zip"
    for suffix in ("", ".CHECKSUM"):
        file = exchange.archive.get(f"data/spot/monthly/klines/{SYMBOL}/1m/{name}{suffix}")
        assert file is not None
        (tmp_path / "archive" / f"{name}{suffix}").write_bytes(file.body)

    folder = tmp_path / "user_data" / "data" / "binance"
    folder.mkdir(parents=True)
    part = few_columns(exchange, START, START + 3 * DAY)
    dates = part["open_time"].cast(pa.timestamp("ms")).cast(pa.timestamp("ms", "UTC"))
    feather.write_feather(part.set_column(0, "date", dates), folder / "BTC_USDC-1m.feather")

    part = few_columns(exchange, START + 3 * DAY, START + 6 * DAY)
    part = part.set_column(0, "open_time", pc.divide(part["open_time"].cast("int64"), pa.scalar(1_000, pa.int64())))
    (tmp_path / "ohlcv.json").write_text(json.dumps([list(row.values()) for row in part.to_pylist()]))

    part = few_columns(exchange, *HIGH)
    for place in range(1, 5):
        part = part.set_column(place, part.column_names[place], pc.multiply(part.column(place), 1.1))
    csv.write_csv(part.rename_columns(["date", "open", "high", "low", "close", "vol"]), tmp_path / "btc.csv")

    (tmp_path / "older").mkdir()
    there = make_settings(tmp_path / "older", exchange.url)
    ingest(there, END - 6 * DAY, END - 2 * DAY)
    there.store.database.rename(tmp_path / "older" / "threadx.duckdb")
    (tmp_path / "older" / "paths.toml").unlink()

    monkeypatch.chdir(tmp_path)
    return make_settings(tmp_path, exchange.url)


def status(capsys: pytest.CaptureFixture[str]) -> tuple[int, int]:
    """How many minutes are missing, and how many were never asked of the exchange."""
    capsys.readouterr()
    assert run(["status", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["symbols"]
    return row["missing"], row["unproven"]


@pytest.mark.slow
def test_commands_of_the_page_bring_every_candle_along(
    older: Settings, exchange: LoopbackExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    *imports, download, prove = commands_after("Bringing the candles along")
    assert [line.split()[1] for line in imports] == ["import"] * 5
    for line in imports:
        assert shell(line) == 0, line
    assert status(capsys) == (HOLES, IMPORTED)
    imported = stored(older)

    # As the page says, a run without a start leaves the holes, and check finds them.
    assert shell("threadx ingest") == 0
    assert status(capsys) == (HOLES, IMPORTED)
    assert shell("threadx check") == 3
    assert "unexplained_gap: the first of 2 rows" in capsys.readouterr().out

    assert download.startswith("threadx ingest --start ")
    assert shell(download) == 0
    assert status(capsys) == (0, IMPORTED)
    assert stored(older).num_rows == (END - START) // MINUTE
    asked = "source <> 'import' and range_start < timestamp '2024-12-09' and range_end > timestamp '2024-12-01 00:01'"
    assert select(older, f"select count(*) from requests where {asked}") == [(0,)]
    assert imported.num_rows == IMPORTED + 31 * 1_440

    # Prices that are 10 % too high pass every check; verify finds them and mends them.
    assert shell("threadx check") == 0
    assert shell("threadx verify -t 1h") == 3
    assert f"note: {HOURS - 48:,} of {HOURS:,} 1h candles equal" in capsys.readouterr().err
    assert shell(prove) == 0
    assert f"note: {HOURS:,} of {HOURS:,} 1h candles equal" in capsys.readouterr().err
    assert stored(older)["close"].to_pylist() == served(exchange.market, START, END)["close"].to_pylist()
    assert status(capsys) == (0, IMPORTED - 2 * 1_440)
    assert shell("threadx status") == 0
    assert f"Imported and never asked of the exchange: {IMPORTED - 2 * 1_440:,} minutes" in capsys.readouterr().err
    assert shell("threadx ingest --refresh --start 2024-12-01") == 0
    assert status(capsys) == (0, 0)


def test_settings_of_the_page_are_read(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "test.toml").write_text(block)
    settings = get_settings(tmp_path / "test.toml")
    assert settings.data.base_data_path == Path("/srv/crypto")
    assert (settings.api.base_url, settings.logging.level) == ("https://api.binance.com", "DEBUG")


def test_settings_that_took_the_place_of_variables_are_there(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    settings = get_settings(tmp_path / "empty.toml")
    section = PAGE.partition("| what an environment variable set |")[2].partition("\n\n")[0]
    named: list[tuple[str, str]] = []
    for row in section.splitlines()[2:]:
        table = ""
        for opened, key in re.findall(r"`(?:\[([a-z.]+)\] )?([a-z_]+)`", row.split("|")[2]):
            table = opened or table
            named.append((table, key))
    assert len(named) >= 14
    assert [(table, key) for table, key in named if not hasattr(getattr(settings, TABLES[table]), key)] == []


def test_names_of_today_can_be_imported() -> None:
    section = PAGE.partition("| older | today |")[2].partition("\n\n")[0]
    named = re.findall(r"`(threadx_duck\.\w+)`: `(\w+)`", section)
    assert len(named) == 3
    for module, name in named:
        assert hasattr(import_module(module), name)
