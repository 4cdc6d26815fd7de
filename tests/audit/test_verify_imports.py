"""`threadx verify` and `threadx status` on stores whose minutes were imported, in part or as a whole."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.support.evidence_helpers import DAY, HOUR, MINUTE, manager_of, rows, tamper, threadx
from threadx_duck.candles.timeframes import parse_timeframe
from threadx_duck.cli.main import run
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market, generate_market
from threadx_duck.simulator.rollup import roll_up

pytestmark = pytest.mark.slow

START = datetime(2024, 1, 1)
END = START + 4 * DAY
NOW = (END + HOUR).replace(tzinfo=UTC)
PRICES = ("open", "high", "low", "close")


@pytest.fixture
def half(tmp_path: Path) -> Iterator[tuple[Market, IngestionManager]]:
    """A market of four days, and a store that downloaded the last two of them."""
    market = Market(generate_market(["BTCUSDC"], start=START, end=END))
    with LoopbackExchange(market, now=NOW) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["BTCUSDC"], "2024-01-03", "2024-01-04")
        yield market, manager


def import_days(folder: Path, market: Market, factor: float = 1.0, without: datetime | None = None) -> None:
    """Imports the first two days, with prices times a factor, through the command line."""
    candles = market["BTCUSDC"].candles
    candles = candles.filter(pc.less(candles["open_time"], pa.scalar(START + 2 * DAY, candles["open_time"].type)))
    if without is not None:
        candles = candles.filter(pc.not_equal(candles["open_time"], pa.scalar(without, candles["open_time"].type)))
    for name in PRICES:
        place = candles.schema.get_field_index(name)
        candles = candles.set_column(place, name, pc.multiply(candles[name], factor))
    if factor != 1.0:
        candles = candles.select(["open_time", *PRICES, "volume"])
    path = folder / "BTCUSDC.parquet"
    pq.write_table(candles, path)
    assert threadx(folder, "import", str(path), "--symbol", "BTCUSDC") == 0


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    code = threadx(folder, "verify", *arguments, "--json")
    return code, json.loads(capsys.readouterr().out)


def unproven(folder: Path, capsys: pytest.CaptureFixture[str]) -> int:
    capsys.readouterr()
    assert threadx(folder, "status", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["symbols"]
    return int(row["unproven"])


def numbers(found: dict[str, Any]) -> tuple[int, int, int]:
    return found["compared"], found["matching"], found["uncompared"]


@pytest.mark.parametrize(("label", "candles"), [("1h", 96), ("3h", 32), ("1d", 4), ("7h", 13)])
def test_imported_candles_are_compared_like_downloaded_ones(
    half: tuple[Market, IngestionManager],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    label: str,
    candles: int,
) -> None:
    import_days(tmp_path, half[0])
    code, found = verify(tmp_path, capsys, "-t", label)
    assert (code, found["compared"], found["matching"]) == (0, candles, candles)


def test_imported_prices_ten_percent_too_high_are_found_and_mended(
    half: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_days(tmp_path, half[0], factor=1.1)
    assert unproven(tmp_path, capsys) == 2 * 1_440
    code, found = verify(tmp_path, capsys, "-t", "1h")
    assert (code, *numbers(found)) == (3, 96, 48, 0)
    code, found = verify(tmp_path, capsys, "-t", "1h", "--repair")
    assert (code, *numbers(found)) == (0, 96, 96, 0)
    assert unproven(tmp_path, capsys) == 0
    code, found = verify(tmp_path, capsys, "-t", "1h")
    assert (code, *numbers(found)) == (0, 96, 96, 0)


def test_candle_with_an_imported_minute_missing_is_counted_and_said(
    half: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_days(tmp_path, half[0], without=START + 30 * HOUR + 17 * MINUTE)
    code, found = verify(tmp_path, capsys, "-t", "1h")
    assert (code, *numbers(found)) == (0, 95, 95, 1)
    assert threadx(tmp_path, "verify", "-t", "1h") == 0
    assert "1 more 1h candle was not compared" in capsys.readouterr().err
    code, found = verify(tmp_path, capsys, "-t", "1h", "--start", "2024-01-02T06:00", "--end", "2024-01-02T07:00")
    assert (code, *numbers(found)) == (1, 0, 0, 1)
    assert threadx(tmp_path, "verify", "-t", "1h", "--start", "2024-01-02T06:00", "--end", "2024-01-02T07:00") == 1
    shown = capsys.readouterr().err
    assert "note: 1 1h candle was not compared" in shown
    assert "equal" not in shown


def test_status_counts_unproven_minutes_until_the_exchange_was_asked(
    half: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert unproven(tmp_path, capsys) == 0
    threadx(tmp_path, "status")
    assert "never asked of the exchange" not in capsys.readouterr().err
    import_days(tmp_path, half[0])
    assert unproven(tmp_path, capsys) == 2 * 1_440
    threadx(tmp_path, "status")
    assert "Imported and never asked of the exchange: 2,880 minutes (BTCUSDC 2,880)" in capsys.readouterr().err
    assert (
        threadx(tmp_path, "ingest", "BTCUSDC", "--refresh", "--start", "2024-01-01", "--end", "2024-01-01T12:00") == 0
    )
    assert unproven(tmp_path, capsys) == 2 * 1_440 - 720


@pytest.mark.parametrize(
    ("label", "days", "said"),
    [
        ("1h", 2, "is no answer with 1h candles"),
        ("1h", 35, "more than 4,000 rows for 1,000 1h candles"),
        ("1d", 2, "is no answer with 1d candles"),
        ("1w", 35, "more than 4,000 rows for 1,000 1w candles"),
        ("1mo", 35, "is no answer with 1mo candles"),
        ("3d", 35, "more than 4,000 rows for 1,000 3d candles"),
    ],
)
def test_exchange_that_answers_minutes_for_a_timeframe_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], label: str, days: int, said: str
) -> None:
    market = Market(generate_market(["BTCUSDC"], start=START, end=START + timedelta(days=days)))
    with (
        LoopbackExchange(market, now=(START + timedelta(days=days)).replace(tzinfo=UTC)) as exchange,
        manager_of(tmp_path, exchange) as manager,
    ):
        manager.update_assets_batch(["BTCUSDC"])
        served = market["BTCUSDC"]
        interval = parse_timeframe(label).interval
        assert interval is not None
        market["BTCUSDC"] = dataclasses.replace(served, native={interval: served.candles})
        capsys.readouterr()
        assert threadx(tmp_path, "verify", "-t", label) == 1
        shown = capsys.readouterr().err
        assert said in shown
        assert rows(manager, "select count(*) from native_candles") == [(0,)]
        assert rows(manager, "select count(*) from requests where timeframe <> '1m'") == [(0,)]


def test_outage_in_a_month_from_the_archive_leaves_all_of_it_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    halt = datetime(2024, 1, 12, 3), datetime(2024, 1, 12, 5, 30)
    market = generate_market(["BTCUSDC"], start=START, end=datetime(2024, 2, 3), outages=[halt])
    with (
        LoopbackExchange(market, now=datetime(2024, 2, 3, tzinfo=UTC)) as exchange,
        manager_of(tmp_path, exchange) as manager,
    ):
        assert threadx(tmp_path, "ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-31") == 0
        # An archive file that lacks minutes is conclusive for nothing.
        tamper(
            manager, "update requests set range_end = range_start, source = 'archive_monthly' where timeframe = '1m'"
        )
        code, found = verify(tmp_path, capsys, "-t", "1d")
        assert (code, *numbers(found)) == (0, 30, 30, 1)
        assert unproven(tmp_path, capsys) == 0


def test_store_without_candles_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    market = Market(generate_market(["BTCUSDC"], start=START, end=START + timedelta(hours=2)))
    with LoopbackExchange(market, now=NOW) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["BTCUSDC"])
        assert threadx(tmp_path, "remove", "BTCUSDC", "--yes") == 0
        capsys.readouterr()
        assert threadx(tmp_path, "verify", "-t", "1h") == 2
        assert capsys.readouterr().err.strip() == (
            "threadx: error: The store holds no candles that could be verified. Run: threadx ingest SYMBOL"
        )


@pytest.mark.parametrize("options", [("-t", "1h,1d"), ("-t", "1h", "-t", "1d"), ("-t", "1h, 1d", "-t", "1h")])
def test_several_timeframes_are_one_document(
    half: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    import_days(tmp_path, half[0], without=START + 30 * HOUR + 17 * MINUTE)
    code, found = verify(tmp_path, capsys, *options)
    assert code == 0
    assert [(one["timeframe"], *numbers(one)) for one in found["timeframes"]] == [("1h", 95, 95, 1), ("1d", 3, 3, 1)]


def test_one_of_several_timeframes_decides_the_exit_code(
    half: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert threadx(tmp_path, "verify", "-t", "1h,1mo") == 1
    shown = capsys.readouterr().err
    assert "48 of 48 1h candles equal" in shown
    assert "no closed 1mo candle" in shown
    assert threadx(tmp_path, "verify", "-t", "1h,1m") == 2
    assert "equal" not in capsys.readouterr().err
    import_days(tmp_path, half[0], factor=1.1)
    code, found = verify(tmp_path, capsys, "-t", "1h,1d")
    assert (code, [len(one["mismatches"]) > 0 for one in found["timeframes"]]) == (3, [True, True])


@pytest.mark.parametrize("source", ["archive", "auto"])
def test_month_of_the_archive_with_an_outage_is_compared_day_by_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    start = datetime(2025, 1, 1)
    now = start + timedelta(days=40)
    outage = (datetime(2025, 1, 11, 3, 41), datetime(2025, 1, 11, 5))
    market = generate_market(["BTCUSDC", "ETHUSDC"], start=start, end=now, outages=[outage])
    with LoopbackExchange(market, now=now.replace(tzinfo=UTC)) as exchange:
        (tmp_path / "paths.toml").write_text(
            f'[data.api]\nbase_url = "{exchange.url}"\n[data.archive]\nbase_url = "{exchange.url}"\n'
        )
        whole = ["--start", "2025-01-01", "--end", "2025-01-31"]
        assert run(["ingest", "BTCUSDC", "ETHUSDC", *whole, "--source", source]) == 0
        capsys.readouterr()
        assert run(["verify", "-t", "1d", *whole, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
    assert (document["compared"], document["matching"], document["uncompared"]) == (62, 62, 0)


def served_natives(market: Market, symbol: str = "BTCUSDC") -> pa.Table:
    return roll_up(market[symbol].candles, "1h")


def with_native(market: Market, candles: pa.Table) -> None:
    market["BTCUSDC"] = dataclasses.replace(market["BTCUSDC"], native={"1h": candles})


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[tuple[Market, IngestionManager]]:
    """A market of two symbols, and a store of one of them."""
    market = Market(generate_market(["BTCUSDC", "ETHUSDC"], start=START, end=START + 2 * DAY))
    with (
        LoopbackExchange(market, now=(START + 2 * DAY).replace(tzinfo=UTC)) as exchange,
        manager_of(tmp_path, exchange) as manager,
    ):
        manager.update_assets_batch(["BTCUSDC"])
        yield market, manager


@pytest.mark.parametrize("raised", [0.0, 1.0], ids=["the same", "another"])
def test_answer_that_holds_a_candle_twice_is_refused(
    whole: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str], raised: float
) -> None:
    market, manager = whole
    candles = served_natives(market)
    again = candles.slice(5, 1)
    again = again.set_column(again.schema.get_field_index("close"), "close", pc.add(again["close"], raised))
    with_native(market, pa.concat_tables([candles, again]).sort_by("open_time"))
    assert threadx(tmp_path, "verify", "-t", "1h") == 1
    shown = capsys.readouterr().err
    assert "holds candles out of order or twice; nothing of it was stored" in shown
    assert "equal the exchange's own" not in shown
    assert rows(manager, "select count(*) from native_candles") == [(0,)]


def test_candles_of_another_symbol_are_no_equals(
    whole: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_native(whole[0], served_natives(whole[0], "ETHUSDC"))
    code, found = verify(tmp_path, capsys, "-t", "1h")
    assert (code, *numbers(found)) == (3, 48, 0, 0)


def test_repair_that_leaves_a_difference_says_so(
    whole: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candles = served_natives(whole[0])
    highs = candles["high"].to_pylist()
    highs[7] *= 2
    with_native(whole[0], candles.set_column(candles.schema.get_field_index("high"), "high", pa.array(highs)))
    for _ in range(2):
        code, found = verify(tmp_path, capsys, "-t", "1h", "--repair")
        assert (code, *numbers(found)) == (3, 48, 47, 0)
        assert [(cause["status"], cause["range_start"]) for cause in found["causes"]] == [
            ("remains", "2024-01-01T07:00:00Z")
        ]


def test_candle_stored_twice_is_no_equal(
    whole: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert threadx(tmp_path, "verify", "-t", "1h") == 0
    tamper(whole[1], "insert into native_candles from native_candles where open_time = '2024-01-01 03:00'")
    code, found = verify(tmp_path, capsys, "-t", "1h")
    assert (code, *numbers(found)) == (3, 48, 47, 0)


@pytest.mark.parametrize("label", ["5m", "1h", "8h", "1d"])
def test_off_grid_answers_that_an_earlier_version_stored_are_asked_for_again(
    whole: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str], label: str
) -> None:
    assert threadx(tmp_path, "verify", "-t", "1h,4h") == 0
    code, found = verify(tmp_path, capsys, "-t", label)
    expected, compared = (code, *numbers(found)), found["compared"]
    # A host that answers minutes for an hour: they sum up to the hour, and so seemed equal.
    tamper(
        whole[1],
        f"insert into native_candles by name select * replace (open_time + interval 1 minute as open_time)"
        f" from native_candles where timeframe = '{label}'; update store_info set schema_version = 2",
    )
    before = rows(whole[1], "select count(*) from requests where timeframe = '4h'")
    code, found = verify(tmp_path, capsys, "-t", label)
    assert (code, *numbers(found)) == expected
    natives = "select count(*), count(distinct open_time) from native_candles where timeframe"
    assert rows(whole[1], f"{natives} = '{label}'") == [(compared, compared)]
    assert rows(whole[1], f"{natives} = '4h'") == [(12, 12)]
    assert rows(whole[1], "select count(*) from requests where timeframe = '4h'") == before


def test_explain_says_that_a_minute_was_imported_and_never_asked(
    half: tuple[Market, IngestionManager], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_days(tmp_path, half[0])

    def explain(time: str, *arguments: str) -> tuple[str, str]:
        capsys.readouterr()
        assert threadx(tmp_path, "explain", "BTCUSDC", time, *arguments) == 0
        shown = capsys.readouterr()
        return shown.out, shown.err

    def explained(time: str, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(explain(time, *arguments, "--json")[0]))

    out, said = explain("2024-01-01T10:17")
    assert "1 of 1 minutes stored" in out
    assert " import " in out
    assert "note: 1 of 1 stored minute was imported and never asked of the exchange." in said
    (request,) = explained("2024-01-01T10:17")["requests"]
    assert (request["source"], request["minutes"]) == ("import", 1)
    assert request["range_start"] == request["range_end"]
    assert explained("2024-01-01T10:17")["unproven"] == 1
    # A day of minutes that were downloaded.
    assert explain("2024-01-03T10:17", "-t", "1d")[1].count("never asked") == 0
    # A refresh asks for a part of an hour: the rest of it stays unproven.
    part = ("--start", "2024-01-01T10:10", "--end", "2024-01-01T10:30")
    assert threadx(tmp_path, "ingest", "BTCUSDC", "--refresh", *part) == 0
    assert explained("2024-01-01T10:17")["unproven"] == 0
    assert "note: 40 of 60 stored minutes were imported and never asked" in explain("2024-01-01T10:17", "-t", "1h")[1]


def test_verify_of_outer_symbols_takes_nothing_from_those_between(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    symbols = ["AAAUSDC", "BTCUSDC", "CCCUSDC"]
    market = Market(generate_market(symbols, start=START, end=END))
    with LoopbackExchange(market, now=NOW) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["AAAUSDC", "CCCUSDC"], "2024-01-01", "2024-01-02")
        import_days(tmp_path, market, factor=1.1)
        code, found = verify(tmp_path, capsys, "AAAUSDC", "CCCUSDC", "-t", "1h")
        assert (code, *numbers(found)) == (0, 96, 96, 0)
        assert rows(manager, "select distinct symbol from native_candles order by 1") == [("AAAUSDC",), ("CCCUSDC",)]
        code, found = verify(tmp_path, capsys, "-t", "1h")
        assert (code, *numbers(found)) == (3, 144, 96, 0)
