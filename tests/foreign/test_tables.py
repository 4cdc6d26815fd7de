"""Files that other programs wrote: `threadx_duck.foreign` and what speaks against importing them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from tests.conftest import OUTAGE
from threadx_duck import IngestionManager
from threadx_duck.cli.main import run
from threadx_duck.config import Settings
from threadx_duck.errors import UsageError
from threadx_duck.files.importer import ImportResult
from threadx_duck.foreign.names import read_name
from threadx_duck.foreign.times import read_times
from threadx_duck.simulator import LoopbackExchange, Market

DAY = datetime(2024, 1, 1)
MICROS = 1_704_067_200_000_000
PRICES = ("open", "high", "low", "close", "volume")


@pytest.fixture
def manager(settings: Settings, exchange: LoopbackExchange) -> Iterator[IngestionManager]:
    with IngestionManager(settings) as made:
        yield made


@pytest.fixture
def candles(made_market: Market) -> pa.Table:
    """The first day of BTCUSDC as the exchange has it."""
    table = made_market["BTCUSDC"].candles
    return table.filter(pc.field("open_time") < pa.scalar(datetime(2024, 1, 2)))


def _rows(candles: pa.Table, unit: int = 1_000) -> list[list[Any]]:
    times = pc.divide(candles["open_time"].cast(pa.int64()), unit).to_pylist()
    return [list(row) for row in zip(times, *(candles[name].to_pylist() for name in PRICES), strict=True)]


def _import(manager: IngestionManager, path: Path, **options: Any) -> ImportResult:
    return manager.import_files([path], **options)[str(path)]


def _stored(manager: IngestionManager) -> pa.Table:
    return manager.candles("BTCUSDC", "1m", "2024-01-01", "2024-01-01").select(["open_time", *PRICES])


def _freqtrade_feather(path: Path, candles: pa.Table) -> None:
    frame = candles.select(["open_time", *PRICES]).to_pandas().rename(columns={"open_time": "date"})
    frame["date"] = frame["date"].dt.tz_localize("UTC").astype("datetime64[ms, UTC]")
    feather.write_feather(pa.Table.from_pandas(frame, preserve_index=False), str(path))


def _json(path: Path, document: Any) -> None:
    path.write_bytes(json.dumps(document).encode())


def _csv(path: Path, candles: pa.Table, time: Callable[[datetime], str]) -> None:
    lines = [
        ",".join([time(row["open_time"]), *(repr(row[name]) for name in PRICES)])
        for row in candles.select(["open_time", *PRICES]).to_pylist()
    ]
    path.write_text("\n".join(["time,o,h,l,c,vol", *lines]) + "\n")


MAPPING = {"open_time": "time", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "vol"}

WRITERS: dict[str, tuple[str, Callable[[Path, pa.Table], None]]] = {
    "freqtrade feather": ("BTC_USDC-1m.feather", _freqtrade_feather),
    "freqtrade json": ("BTC_USDC-1m.json", lambda path, candles: _json(path, _rows(candles))),
    "freqtrade json, gzipped": (  # type: ignore[dict-item]
        "BTC_USDC-1m.json.gz",
        lambda path, candles: path.write_bytes(gzip.compress(json.dumps(_rows(candles)).encode())) and None,
    ),
    "json of records": (
        "BTCUSDC-1m.json",
        lambda path, candles: _json(
            path, [dict(zip(("timestamp", *PRICES), row, strict=True)) for row in _rows(candles)]
        ),
    ),
    "parquet of pandas with a zone": (
        "BTCUSDC-1m.parquet",
        lambda path, candles: (
            candles.select(["open_time", *PRICES])
            .to_pandas()
            .assign(open_time=lambda frame: frame["open_time"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"))
            .to_parquet(path)
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
def test_file_of_another_program_brings_its_candles(
    kind: str, manager: IngestionManager, candles: pa.Table, tmp_path: Path
) -> None:
    name, write = WRITERS[kind]
    write(tmp_path / name, candles)
    result = _import(manager, tmp_path / name)
    assert (result.error, result.source, result.symbols) == (None, "import", ["BTCUSDC"])
    assert result.rows_added == candles.num_rows
    assert _stored(manager).equals(candles.select(["open_time", *PRICES]))
    with duckdb.connect(str(manager.store.path), read_only=True) as connection:
        evidence = connection.execute("select source, url, length(sha256) from requests").fetchall()
    assert evidence == [("import", name, 64)]


def test_ccxt_lists_need_a_symbol_and_have_it(manager: IngestionManager, candles: pa.Table, tmp_path: Path) -> None:
    _json(tmp_path / "ohlcv.json", _rows(candles))
    assert "names no symbol" in str(_import(manager, tmp_path / "ohlcv.json").error)
    assert _import(manager, tmp_path / "ohlcv.json", symbol="BTCUSDC").rows_added == candles.num_rows


@pytest.mark.slow
@pytest.mark.parametrize(
    "time",
    [
        pytest.param(lambda moment: str((moment - datetime(1970, 1, 1)) // timedelta(seconds=1)), id="seconds"),
        pytest.param(lambda moment: str((moment - datetime(1970, 1, 1)) // timedelta(milliseconds=1)), id="ms"),
        pytest.param(lambda moment: str((moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)), id="us"),
        pytest.param(lambda moment: str((moment - datetime(1970, 1, 1)) // timedelta(seconds=1)) + ".0", id="float"),
        pytest.param(lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}", id="naive text"),
        pytest.param(lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S}Z", id="text in UTC"),
        pytest.param(lambda moment: f"{moment + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}+02:00", id="text with an offset"),
    ],
)
def test_csv_with_a_mapping_takes_times_of_any_form(
    time: Callable[[datetime], str], manager: IngestionManager, candles: pa.Table, tmp_path: Path
) -> None:
    _csv(tmp_path / "mine.csv", candles, time)
    result = _import(manager, tmp_path / "mine.csv", symbol="BTCUSDC", columns=MAPPING)
    assert result.error is None
    assert _stored(manager).equals(candles.select(["open_time", *PRICES]))


@pytest.mark.slow
def test_own_csv_export_is_imported_without_a_mapping(
    manager: IngestionManager, settings: Settings, tmp_path: Path
) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")
    manager.export(tmp_path / "out", "csv")
    options = ["--quiet", "--db", "copy.duckdb", "import", "out/BTCUSDC-1m.csv"]
    assert run(options) == 0
    assert run(["--db", "copy.duckdb", "diff", str(manager.store.path)]) == 0


@pytest.mark.slow
def test_another_store_is_imported_symbol_by_symbol(manager: IngestionManager, tmp_path: Path) -> None:
    manager.update_assets_batch(["BTCUSDC", "ETHUSDC"], "2024-01-01", "2024-01-02")
    assert run(["--quiet", "--db", "copy.duckdb", "import", str(manager.store.path)]) == 0
    assert run(["--db", "copy.duckdb", "diff", str(manager.store.path)]) == 0
    with duckdb.connect("copy.duckdb", read_only=True) as connection:
        evidence = connection.execute("select symbol, source, url from requests order by symbol").fetchall()
    assert evidence == [(symbol, "import", "threadx.duckdb") for symbol in ("BTCUSDC", "ETHUSDC")]
    assert "is the store itself" in str(_import(manager, manager.store.path).error)


def test_imported_values_never_overrule_the_exchange_and_are_listed(
    manager: IngestionManager, candles: pa.Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")
    rows = _rows(candles)
    rows[700][5] += 1.0
    _json(tmp_path / "BTC_USDC-1m.json", rows)
    assert run(["import", "BTC_USDC-1m.json"]) == 0
    assert "1 candle differ from the exchange's; see: threadx revisions" in capsys.readouterr().err
    assert _stored(manager).equals(candles.select(["open_time", *PRICES]))
    with duckdb.connect(str(manager.store.path), read_only=True) as connection:
        listed = connection.execute("select new_volume - old_volume, applied from revisions").fetchall()
    assert listed == [(pytest.approx(1.0), False)]


def test_candles_that_another_program_made_up_for_an_outage_are_left_out(
    manager: IngestionManager, candles: pa.Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")
    rows = _rows(candles)
    start = MICROS // 1000 + (OUTAGE[0] - DAY) // timedelta(milliseconds=1)
    rows += [[start + 60_000 * number, 5.0, 5.0, 5.0, 5.0, 0.0] for number in range(120)]
    _json(tmp_path / "BTC_USDC-1m.json", sorted(rows))
    assert run(["import", "BTC_USDC-1m.json"]) == 0
    assert "120 candles left out; the exchange has none for their minutes" in capsys.readouterr().err
    assert _stored(manager).equals(candles.select(["open_time", *PRICES]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shift", "shown"),
    [
        (timedelta(hours=2), "2 h earlier"),
        (timedelta(hours=-5, minutes=-30), "5.5 h later"),
        (timedelta(minutes=1), "1 min earlier"),
    ],
)
def test_file_shifted_by_a_time_zone_is_refused_with_the_evidence(
    shift: timedelta, shown: str, manager: IngestionManager, candles: pa.Table, tmp_path: Path
) -> None:
    manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-02")
    shifted = candles.set_column(0, "open_time", pc.add(candles["open_time"], pa.scalar(shift)))
    pq.write_table(shifted, tmp_path / "BTCUSDC-1m.parquet")
    result = _import(manager, tmp_path / "BTCUSDC-1m.parquet")
    assert result.status == "failed"
    assert f"equal the stored ones {shown}" in str(result.error)
    assert "at the time they claim" in str(result.error)
    with duckdb.connect(str(manager.store.path), read_only=True) as connection:
        assert connection.execute("select count(*) from requests where source = 'import'").fetchone() == (0,)


def test_file_of_another_timeframe_is_refused_with_the_evidence(
    manager: IngestionManager, made_market: Market, candles: pa.Table, tmp_path: Path
) -> None:
    _json(tmp_path / "x.json", _rows(made_market.native("BTCUSDC", "5m")))
    error = str(_import(manager, tmp_path / "x.json", symbol="BTCUSDC").error)
    assert "The nearest are 5 minutes apart, from 2024-01-01T00:00:00Z on" in error
    _json(tmp_path / "BTC_USDC-5m.json", [])
    assert "holds 5m candles by its name" in str(_import(manager, tmp_path / "BTC_USDC-5m.json").error)
    seconds = [[MICROS // 1000 + 1000 * number, 1.0, 1.0, 1.0, 1.0, 1.0] for number in range(600)]
    _json(tmp_path / "s.json", seconds)
    assert "590 of 600 open off the minute" in str(_import(manager, tmp_path / "s.json", symbol="BTCUSDC").error)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("x.json", b"{", "not readable JSON", id="cut JSON"),
        pytest.param("x.json", b"[[1, 2]]", "rows have [2] cells", id="lists of two"),
        pytest.param("x.json", b"3", "holds no list", id="a number"),
        pytest.param("x.feather", b"none", "not readable feather", id="no feather"),
        pytest.param("x.json.gz", b"none", "not readable gzip", id="no gzip"),
        pytest.param("x.csv", b"a,b\n1,2\n", "lacks the columns open_time, open", id="unknown columns"),
        pytest.param("x.duckdb", b"none", "not a DuckDB database", id="no store"),
        pytest.param(
            "x.csv",
            b"open_time,open,high,low,close,volume\n01/02/2024,1,1,1,1,1\n",
            "times that cannot be read, such as '01/02/2024'",
            id="times of another form",
        ),
    ],
)
def test_file_that_cannot_be_used_says_why(
    name: str, content: bytes, message: str, manager: IngestionManager, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    # A store names its symbols itself.
    symbol = None if name.endswith(".duckdb") else "BTCUSDC"
    assert message in str(_import(manager, tmp_path / name, symbol=symbol).error)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        pytest.param("price=o", "no column price", id="no column of ours"),
        pytest.param("open=first", "no column first", id="no column of theirs"),
        pytest.param("open", "Cannot read --map 'open'", id="no pair"),
    ],
)
def test_mapping_that_cannot_be_is_refused(
    mapping: str, message: str, manager: IngestionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.csv").write_text("open_time,o\n1,2\n")
    assert run(["import", "x.csv", "--symbol", "BTCUSDC", "--map", mapping]) != 0
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "symbol", "timeframe"),
    [
        ("BTC_USDC-1m.feather", "BTCUSDC", "1m"),
        ("BTC_USDC-1Mo.feather", "BTCUSDC", "1mo"),
        ("BTCUSDC-1h.parquet", "BTCUSDC", "1h"),
        ("BTCUSDC-1m-2024-01.csv", "BTCUSDC", "1m"),
        ("BTCUSDC-1m-2024-01-31.zip", "BTCUSDC", "1m"),
        ("1000SATS_USDT-5m.json.gz", "1000SATSUSDT", "5m"),
        ("notes.csv", None, None),
    ],
)
def test_name_of_a_file_tells_symbol_and_timeframe(name: str, symbol: str | None, timeframe: str | None) -> None:
    assert read_name(name) == (symbol, timeframe)


@pytest.mark.parametrize("name", ["BTC_USDT_USDT-1m-futures.feather", "BTC_USDT-1m-mark.feather"])
def test_name_of_a_futures_file_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no spot candles"):
        read_name(name)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(pa.array([1_704_067_200], pa.int32()), id="seconds of 32 bits"),
        pytest.param(pa.array([1_704_067_200_000_000_000]), id="nanoseconds"),
        pytest.param(pa.array([datetime(2024, 1, 1).date()]), id="a date"),
        pytest.param(pa.array(["1704067200000"]), id="a number as text"),
        pytest.param(pa.array(["2024-01-01T01:00+01:00"]).dictionary_encode(), id="a category"),
        pytest.param(pa.array(pd.to_datetime(["2024-01-01"]).astype("datetime64[s]")), id="a timestamp of seconds"),
    ],
)
def test_times_of_any_type_are_microseconds(values: pa.Array) -> None:
    assert read_times("x", pa.chunked_array([values])).to_pylist() == [MICROS]


def test_times_of_mixed_text_are_read_each_by_its_own_offset() -> None:
    texts = ["2024-01-01 00:00", "2024-01-01T02:00:00+02:00", "2024-01-01T00:00:00Z"]
    assert read_times("x", pa.chunked_array([texts])).to_pylist() == [MICROS] * 3
