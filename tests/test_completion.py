"""`threadx_duck.cli.completion`: what Tab offers."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from threadx_duck import IngestionManager
from threadx_duck.cli.main import threadx
from threadx_duck.config import Settings


def _offered(*words: str) -> list[str]:
    completion = ShellComplete(threadx, {}, "threadx", "_THREADX_COMPLETE")
    return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]


@pytest.fixture
def stored(settings: Settings) -> None:
    """A store with two symbols, as the settings of the current folder name it."""
    with IngestionManager(settings) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-01")


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("command", ["ingest", "status", "gaps", "check", "candles", "remove"])
def test_symbol_of_a_command_is_one_that_is_stored(command: str) -> None:
    assert _offered(command, "") == ["BTCUSDC", "ETHUSDC"]
    assert _offered(command, "E") == ["ETHUSDC"]


@pytest.mark.usefixtures("stored")
def test_symbol_of_a_named_store_comes_from_there(tmp_path: Path) -> None:
    (tmp_path / "data" / "threadx.duckdb").rename(tmp_path / "mine.duckdb")
    assert _offered("--db", "mine.duckdb", "status", "B") == ["BTCUSDC"]
    assert _offered("status", "B") == []


def test_timeframe_is_one_with_a_view() -> None:
    assert _offered("candles", "BTCUSDC", "1") == ["1m", "15m", "1h", "12h", "1d", "1w", "1mo"]


def test_symbol_without_a_store_offers_nothing() -> None:
    assert _offered("status", "") == []


def test_symbol_with_broken_settings_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "paths.toml").write_text("[nonsense]")
    assert _offered("status", "") == []
