"""History in pieces equals history at once, also where a symbol paused for longer than a day."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from threadx_duck import IngestionManager, get_settings
from threadx_duck.audit.fingerprints import compute_fingerprint
from threadx_duck.candles.ranges import day_of
from threadx_duck.candles.times import utc_now
from threadx_duck.cli.main import run
from threadx_duck.simulator import LoopbackExchange, generate_market

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)

# By the real clock: what was asked within the last day is what a saving could be mistaken about.
TODAY = day_of(utc_now()).start
START = TODAY - 20 * DAY
PAUSE = (START + 5 * DAY + timedelta(hours=7, minutes=12), START + 14 * DAY + timedelta(hours=3, minutes=1))
END = TODAY - DAY


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    market = generate_market(["PAUSEUSDC", "BTCUSDC"], start=START, end=TODAY, pauses={"PAUSEUSDC": PAUSE})
    with LoopbackExchange(market, now=TODAY.replace(tzinfo=UTC) + timedelta(hours=1)) as serving:
        yield serving


def settings_in(folder: Path, exchange: LoopbackExchange, *, archive: bool) -> Path:
    folder.mkdir()
    file = folder / "paths.toml"
    file.write_text(
        f'[data.api]\nbase_url = "{exchange.url}"\nretry_delay = 0.0\n'
        f'[data.archive]\nenabled = {str(archive).lower()}\nbase_url = "{exchange.url}"\n'
    )
    return file


def pieces(step: timedelta, *, backwards: bool = False) -> list[tuple[datetime, datetime]]:
    """The whole history cut into ranges; the last is as long as is left."""
    starts = [START + number * step for number in range(-(-(END - START) // step))]
    cut = [(start, min(start + step, END)) for start in starts]
    return cut[::-1] if backwards else cut


def state(manager: IngestionManager) -> Any:
    """The candles, and the gaps with their reasons."""
    return compute_fingerprint(manager.store).sha256, manager.gaps().to_pylist()


@pytest.mark.parametrize("archive", [False, True], ids=["rest", "archive"])
@pytest.mark.parametrize(
    "cut",
    [
        pytest.param(pieces(DAY), id="by day"),
        pytest.param(pieces(DAY, backwards=True), id="by day, backwards"),
        pytest.param(pieces(4 * DAY), id="by four days"),
        pytest.param(pieces(11 * DAY), id="in halves"),
        pytest.param(
            [(START, START + 7 * DAY), (START + 16 * DAY, END), (START + 6 * DAY, START + 16 * DAY)], id="odd"
        ),
    ],
)
def test_history_in_pieces_equals_history_at_once(
    tmp_path: Path, exchange: LoopbackExchange, cut: list[tuple[datetime, datetime]], archive: bool
) -> None:
    with IngestionManager(get_settings(settings_in(tmp_path / "once", exchange, archive=archive))) as manager:
        manager.update_assets_batch(["PAUSEUSDC"], START, END)
        at_once = state(manager)
    assert at_once[1] == [
        {
            "symbol": "PAUSEUSDC",
            "gap_start": PAUSE[0],
            "gap_end": PAUSE[1],
            "missing": (PAUSE[1] - PAUSE[0]) // timedelta(minutes=1),
            "reason": "not_published",
            "symbols_asked": 1,
            "symbols_absent": 1,
        }
    ]
    with IngestionManager(get_settings(settings_in(tmp_path / "pieces", exchange, archive=archive))) as manager:
        for start, end in cut:
            (result,) = manager.update_assets_batch(["PAUSEUSDC"], start, end).values()
            assert result.error is None
        assert state(manager) == at_once
        exchange.requests.clear()
        (result,) = manager.update_assets_batch(["PAUSEUSDC"], START, END).values()
        assert result.status == "up_to_date"
        assert not exchange.requests.of(path="/api/v3/klines")


def test_command_that_names_a_range_is_never_up_to_date_without_having_asked(
    tmp_path: Path, exchange: LoopbackExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--config", str(settings_in(tmp_path / "cli", exchange, archive=False)), "--quiet"]
    days = [START + number * DAY for number in range(3, 18)]
    added = []
    for day in days:
        named = f"{day:%Y-%m-%d}"
        assert run([*options, "ingest", "PAUSEUSDC", "--start", named, "--end", named, "--json"]) == 0
        added.append(json.loads(capsys.readouterr().out)["rows_added"])
    lacking = [max(0, (min(PAUSE[1], day + DAY) - max(PAUSE[0], day)) // timedelta(minutes=1)) for day in days]
    assert added == [1_440 - minutes for minutes in lacking]


@pytest.mark.parametrize("named", ["start", "end"])
def test_either_end_alone_has_its_range_asked(tmp_path: Path, exchange: LoopbackExchange, named: str) -> None:
    with IngestionManager(get_settings(settings_in(tmp_path / "one", exchange, archive=False))) as manager:
        # Asked about a week of the pause, just now: its end has no candle.
        manager.update_assets_batch(["PAUSEUSDC"], START, PAUSE[1] - DAY)
        bounds = {"start_date": PAUSE[1] - 2 * DAY} if named == "start" else {"end_date": END}
        assert manager.update_assets_batch(["PAUSEUSDC"], **bounds)["PAUSEUSDC"].rows_added > 5_000


def test_day_after_a_pause_is_returned_to_whoever_asks_for_it(tmp_path: Path, exchange: LoopbackExchange) -> None:
    with IngestionManager(get_settings(settings_in(tmp_path / "one", exchange, archive=False))) as manager:
        manager.download_ohlcv_1m("PAUSEUSDC", START, PAUSE[1] - DAY)
        day = day_of(PAUSE[1] + DAY)
        assert manager.download_ohlcv_1m("PAUSEUSDC", *day).num_rows == 1_440
        assert manager.resample_from_1m_api("PAUSEUSDC", "1h", day.end, day.end + DAY).num_rows == 24


def test_run_without_a_range_goes_on_after_a_pause_that_was_asked_about_within_the_day(
    tmp_path: Path, exchange: LoopbackExchange
) -> None:
    with IngestionManager(get_settings(settings_in(tmp_path / "one", exchange, archive=False))) as manager:
        manager.update_assets_batch(["PAUSEUSDC"], START, PAUSE[1] - DAY)
        assert manager.update_assets_batch()["PAUSEUSDC"].rows_added == (TODAY - PAUSE[1]) // timedelta(minutes=1)
