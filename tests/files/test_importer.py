from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.archive_helpers import (
    JANUARY,
    START,
    SYMBOL,
    ingest,
    make_settings,
    select,
    serve,
    served,
    stored,
    with_value,
    without,
)
from threadx_duck.cli.main import run
from threadx_duck.config import Settings
from threadx_duck.files.importer import ImportResult
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange

pytestmark = pytest.mark.slow

NAME = f"{SYMBOL}-1m-2025-01"
NOON = datetime(2025, 1, 15, 12)


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with serve() as serving:
        yield serving


@pytest.fixture
def settings(tmp_path: Path, exchange: LoopbackExchange) -> Settings:
    return make_settings(tmp_path, exchange.url)


def download(exchange: LoopbackExchange, folder: Path, *, checksum: bool = True) -> Path:
    """January's file as a person would have fetched it, with or without its checksum."""
    key = f"data/spot/monthly/klines/{SYMBOL}/1m/{NAME}.zip"
    for suffix in ("", ".CHECKSUM") if checksum else ("",):
        file = exchange.archive.get(key + suffix)
        assert file is not None
        (folder / f"{NAME}.zip{suffix}").write_bytes(file.body)
    return folder / f"{NAME}.zip"


def write_parquet(path: Path, table: pa.Table) -> Path:
    pq.write_table(table, path)
    return path


def import_one(settings: Settings, path: Path, **options: Any) -> ImportResult:
    with IngestionManager(settings) as manager:
        return manager.import_files([path], **options)[str(path)]


def test_zip_that_matches_its_checksum_is_the_archive_file(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    path = download(exchange, tmp_path)
    result = import_one(settings, path)
    assert (result.status, result.source, result.rows_added) == ("ok", "archive_monthly", 44_640)
    assert stored(settings).equals(served(exchange.market))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert select(settings, "select source, url, sha256, range_start, range_end from requests") == [
        ("archive_monthly", path.name, sha256, *JANUARY)
    ]
    before = len(exchange.requests)
    assert ingest(settings)[0].status == "up_to_date"
    assert len(exchange.requests) == before


def test_zip_without_checksum_is_an_import_and_never_conclusive(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    result = import_one(settings, download(exchange, tmp_path, checksum=False))
    assert result.source == "import"
    assert stored(settings).equals(served(exchange.market))
    assert select(settings, "select source, range_start = range_end, url from requests") == [
        ("import", True, f"{NAME}.zip")
    ]


def test_zip_that_does_not_match_its_checksum_is_refused(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    path = download(exchange, tmp_path)
    path.with_name(f"{NAME}.zip.CHECKSUM").write_text("0" * 64)
    result = import_one(settings, path)
    assert result.status == "failed"
    assert "does not match the checksum" in str(result.error)
    assert not settings.store.database.exists()


def test_csv_of_the_archive_takes_its_symbol_from_its_name(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    path = tmp_path / f"{SYMBOL}-1m-2025-01-15.csv"
    path.write_bytes(b"1736942400000000,1,2,1,2,3,0,4,5,1,2,0\n1736942460000000,1,2,1,2,3,0,4,5,1,2,0\n")
    assert import_one(settings, path).rows_added == 2
    assert stored(settings)["open_time"].to_pylist() == [NOON, NOON + timedelta(minutes=1)]


@pytest.mark.parametrize("kind", ["us", "ms", "ns", "zone", "int ms", "int us"])
def test_parquet_takes_times_of_any_type(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path, kind: str
) -> None:
    table = served(exchange.market, *JANUARY)
    casts: dict[str, list[pa.DataType]] = {
        "us": [],
        "ms": [pa.timestamp("ms")],
        "ns": [pa.timestamp("ns")],
        "zone": [pa.timestamp("ms", "UTC"), pa.timestamp("ms", "Europe/Paris")],
        "int ms": [pa.timestamp("ms"), pa.int64()],
        "int us": [pa.int64()],
    }
    times = table["open_time"]
    for target in casts[kind]:
        times = times.cast(target)
    table = table.set_column(table.schema.get_field_index("open_time"), "open_time", times)
    result = import_one(settings, write_parquet(tmp_path / "candles.parquet", table))
    assert (result.status, result.rows_added) == ("ok", 44_640)
    assert stored(settings).equals(served(exchange.market))


def test_parquet_of_several_symbols_and_few_columns_is_taken(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    names = ["symbol", "open_time", "open", "high", "low", "close", "volume"]
    both = pa.concat_tables([served(exchange.market, symbol=symbol) for symbol in (SYMBOL, "SOLUSDC")]).select(names)
    result = import_one(settings, write_parquet(tmp_path / "both.parquet", both))
    assert sorted(result.symbols) == [SYMBOL, "SOLUSDC"] or sorted(result.symbols) == ["BTCUSDC", "SOLUSDC"]
    assert stored(settings).select(names).equals(served(exchange.market).select(names))
    assert select(settings, "select count(*), count(quote_volume), count(trade_count) from candles_1m") == [
        (2 * 44_640, 0, 0)
    ]


def test_import_never_overrules_what_was_downloaded(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    ingest(settings)
    other = with_value(served(exchange.market), NOON, volume=1e6)
    result = import_one(settings, write_parquet(tmp_path / "x.parquet", other))
    assert (result.rows_added, result.rows_revised) == (0, 0)
    assert stored(settings).equals(served(exchange.market))
    assert select(settings, "select open_time, new_volume, applied from revisions") == [(NOON, 1e6, False)]


def test_download_overrules_what_was_imported(settings: Settings, exchange: LoopbackExchange, tmp_path: Path) -> None:
    other = with_value(served(exchange.market), NOON, volume=1e6)
    import_one(settings, write_parquet(tmp_path / "x.parquet", without(other, datetime(2025, 1, 20), JANUARY[1])))
    ingest(settings, refresh=True)
    assert stored(settings).equals(served(exchange.market))
    assert select(settings, "select open_time, old_volume, applied from revisions") == [(NOON, 1e6, True)]


def test_imported_rows_that_are_no_candles_are_rejected(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    table = served(exchange.market).slice(0, 10)
    prices = pa.array([-1.0, None, *table["open"].to_pylist()[2:]])
    table = table.set_column(2, "open", prices)
    times = table["open_time"].to_pylist()
    times[2] += timedelta(seconds=20)
    times[4] = datetime(2999, 1, 1)
    table = table.set_column(1, "open_time", pa.array(times, pa.timestamp("us")))
    result = import_one(settings, write_parquet(tmp_path / "x.parquet", table))
    assert (result.rows_added, result.rows_rejected) == (6, 4)
    assert select(settings, "select minute, reason from rejected_rows order by minute") == [
        (JANUARY[0], "impossible_price"),
        (JANUARY[0] + timedelta(minutes=1), "unreadable"),
        (JANUARY[0] + timedelta(minutes=2), "off_grid"),
        (datetime(2999, 1, 1), "not_closed"),
    ]


def test_candles_of_another_timeframe_are_refused(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    hourly = exchange.market.native(SYMBOL, "1h")
    result = import_one(settings, write_parquet(tmp_path / "h.parquet", hourly), symbol=SYMBOL)
    assert "no two are a minute apart" in str(result.error)
    (tmp_path / f"{SYMBOL}-1h-2025-01.csv").write_bytes(b"")
    assert "holds 1h candles" in str(import_one(settings, tmp_path / f"{SYMBOL}-1h-2025-01.csv").error)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"1,2,2,2,2,3", "names no symbol"),
        ("x.txt", b"", "of no kind"),
        ("x.parquet", b"PAR1", "not readable Parquet"),
        (f"{SYMBOL}-1m-2025-01.zip", b"no zip", "not a readable zip"),
        ("absent.csv", None, "Cannot read"),
    ],
)
def test_file_that_cannot_be_used_says_why_and_does_not_stop_the_others(
    settings: Settings,
    exchange: LoopbackExchange,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    message: str,
) -> None:
    good = write_parquet(tmp_path / "good.parquet", served(exchange.market))
    bad = tmp_path / name
    if content is not None:
        bad.write_bytes(content)
    with IngestionManager(settings) as manager:
        results = manager.import_files([bad, good])
    assert message in str(results[str(bad)].error)
    assert results[str(good)].rows_added == 44_640


def test_parquet_without_a_needed_column_names_it(settings: Settings, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", pa.table({"symbol": ["A"], "open_time": [1]}))
    assert "lacks the columns open, high, low, close, volume" in str(import_one(settings, path).error)


def test_import_command_reports_each_file(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = download(exchange, tmp_path)
    arguments = ["--config", str(tmp_path / "paths.toml"), "import", "--json"]
    assert run([*arguments, str(path), str(tmp_path / "absent.csv")]) == 1
    document = json.loads(capfd.readouterr().out)
    assert document["rows_added"] == 44_640
    assert [(file["status"], file["source"]) for file in document["files"]] == [
        ("ok", "archive_monthly"),
        ("failed", None),
    ]
    assert run([*arguments[:-1], str(path)]) == 0
    assert capfd.readouterr().out.split("\n")[2].split() == [path.name, "ok", "archive_monthly", "0", "0", "0"]


def test_dry_run_prints_the_plan_and_writes_nothing(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(tmp_path / "paths.toml"), "ingest", SYMBOL, "--start", str(START.date()), "--dry-run"]
    assert run([*arguments, "--json"]) == 0
    (symbol,) = json.loads(capfd.readouterr().out)["symbols"]
    assert symbol["status"] == "planned"
    assert [request["source"] for request in symbol["plan"]] == [
        *["archive_monthly"] * 2,
        *["archive_daily"] * 6,
        "rest",
    ]
    assert set(symbol["plan"][0]) == {
        *("source", "range_start", "range_end", "missing", "reason"),
        *("requests", "weight", "bytes", "rows", "seconds"),
    }
    assert run(arguments) == 0
    assert "the whole month is past" not in capfd.readouterr().out
    assert run(["--verbose", *arguments]) == 0
    assert "the whole month is past" in capfd.readouterr().out
    assert not settings.store.database.exists()


def test_import_rejects_numbers_that_no_minute_reaches(settings: Settings, tmp_path: Path, make_candles: Any) -> None:
    candles = make_candles(minutes=20)
    counts = pa.array([2**63 - 1 if minute in {7, 8} else 5 for minute in range(20)])
    volumes = pa.array([1e308 if minute == 9 else 2.0 for minute in range(20)])
    for name, values in (("trade_count", counts), ("volume", volumes)):
        candles = candles.set_column(candles.column_names.index(name), name, values)
    path = write_parquet(tmp_path / "BTCUSDC.parquet", candles)
    assert run(["import", str(path), "--symbol", "BTCUSDC"]) == 0
    assert select(settings, "select count(*) from candles_1m") == [(17,)]
    assert dict(select(settings, "select reason, count(*) from rejected_rows group by all")) == {
        "impossible_size": 1,
        "unreadable": 2,
    }
