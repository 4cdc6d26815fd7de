"""`threadx_duck.files.exporter` and ``threadx export``: files that others read, written only when something changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from threadx_duck import IngestionManager
from threadx_duck.cli.main import run
from threadx_duck.config import Settings, StoreSettings
from threadx_duck.errors import StoreError
from threadx_duck.files import exporter as exporting
from threadx_duck.ledger.remove import remove_candles
from threadx_duck.simulator import LoopbackExchange
from threadx_duck.storage.session import Session
from threadx_duck.storage.store import Store

pytestmark = pytest.mark.slow

DAYS = ("2024-01-01", "2024-01-02")


@pytest.fixture
def manager(settings: Settings) -> Iterator[IngestionManager]:
    """Two days of two symbols, with an outage on the first."""
    with IngestionManager(settings) as made:
        made.update_assets_batch(["BTCUSDC", "ETHUSDC"], *DAYS)
        yield made


def _statuses(manager: IngestionManager, *args: object, **kwargs: object) -> dict[str, str]:
    return {file.path: file.status for file in manager.export("out", *args, **kwargs)}  # type: ignore[arg-type]


def test_parquet_holds_the_candles_of_the_view_sorted_and_compressed(manager: IngestionManager) -> None:
    assert _statuses(manager, timeframes=["1m", "3h"]) == {
        f"{symbol}-{timeframe}.parquet": "written" for symbol in ("BTCUSDC", "ETHUSDC") for timeframe in ("1m", "3h")
    }
    assert pq.read_table("out/BTCUSDC-3h.parquet").equals(manager.candles("BTCUSDC", "3h"))
    assert pq.read_table("out/BTCUSDC-1m.parquet").equals(manager.candles("BTCUSDC", "1m"))
    assert pq.ParquetFile("out/BTCUSDC-1m.parquet").metadata.row_group(0).column(2).compression == "ZSTD"


def test_partitioned_parquet_is_a_hive_tree_that_duckdb_and_polars_read(
    manager: IngestionManager, exchange: LoopbackExchange
) -> None:
    assert _statuses(manager, timeframes=["1h"], partition=True) == {
        f"1h/symbol={symbol}/year=2024/month=1/candles.parquet": "written" for symbol in ("BTCUSDC", "ETHUSDC")
    }
    by_duckdb = duckdb.sql(
        "select symbol, year, month, count(*), min(open_time)"
        " from read_parquet('out/1h/**/*.parquet', hive_partitioning = true) group by all order by all"
    ).fetchall()
    hours = 2 * 24 - 2
    assert by_duckdb == [(symbol, 2024, 1, hours, datetime(2024, 1, 1)) for symbol in ("BTCUSDC", "ETHUSDC")]
    by_polars = pl.scan_parquet("out/1h/**/*.parquet", hive_partitioning=True).collect()
    assert by_polars["symbol"].value_counts(sort=True)["count"].to_list() == [hours, hours]


def test_csv_has_a_header_and_reads_back(manager: IngestionManager) -> None:
    _statuses(manager, "csv", symbols=["BTCUSDC"], timeframes=["4h"])
    frame = pd.read_csv("out/BTCUSDC-4h.csv", parse_dates=["open_time"])
    ours = manager.candles("BTCUSDC", "4h").to_pandas()
    assert list(frame.columns) == list(ours.columns)
    assert frame["open_time"].dt.tz_localize(None).tolist() == ours["open_time"].tolist()
    assert frame["quote_volume"].tolist() == ours["quote_volume"].tolist()
    assert Path("out/BTCUSDC-4h.csv").read_text().splitlines()[1].startswith("BTCUSDC,2024-01-01T00:00:00Z,")


def test_csv_of_the_archives_layout_imports_as_the_same_candles(
    manager: IngestionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(_statuses(manager, "archive", symbols=["BTCUSDC"])) == ["BTCUSDC-1m-2024-01.csv"]
    line = Path("out/BTCUSDC-1m-2024-01.csv").read_text().splitlines()[0].split(",")
    assert (len(line), line[0], line[6], line[11]) == (12, "1704067200000", "1704067259999", "0")
    assert len(line[1].partition(".")[2]) == 8
    assert run(["--quiet", "--db", "copy.duckdb", "import", "out/BTCUSDC-1m-2024-01.csv"]) == 0
    capsys.readouterr()
    assert run(["--db", "copy.duckdb", "diff", str(manager.store.path), "BTCUSDC"]) == 0


def test_freqtrade_files_have_its_names_columns_and_types(manager: IngestionManager) -> None:
    assert list(_statuses(manager, "freqtrade", timeframes=["1h", "1mo"])) == [
        "BTC_USDC-1h.feather", "BTC_USDC-1Mo.feather", "ETH_USDC-1h.feather", "ETH_USDC-1Mo.feather",
    ]  # fmt: skip
    table = feather.read_table("out/BTC_USDC-1h.feather")
    assert table.column_names == ["date", "open", "high", "low", "close", "volume"]
    assert str(table.schema.field("date").type) == "timestamp[ms, tz=UTC]"
    # The month is still forming, the hours are not.
    assert table.num_rows == 46
    assert feather.read_table("out/BTC_USDC-1Mo.feather").num_rows == 0


def test_freqtrade_names_assets_as_the_exchange_does(manager: IngestionManager, exchange: LoopbackExchange) -> None:
    Path("data/symbols.json").write_text(
        json.dumps(
            {"host": exchange.url, "asked_at": "2024-01-01T00:00:00Z", "symbols": [["BTCUSDC", "BREAK", "BTCU", "SDC"]]}
        )
    )
    assert list(_statuses(manager, "freqtrade", symbols=["BTCUSDC"])) == ["BTCU_SDC-1m.feather"]


def test_export_again_rewrites_only_what_changed(manager: IngestionManager) -> None:
    _statuses(manager, timeframes=["1h"], partition=True)
    before = {path: path.stat().st_ino for path in Path("out").rglob("*.parquet")}
    assert set(_statuses(manager, timeframes=["1h"], partition=True).values()) == {"unchanged"}
    manager.update_assets_batch(["ETHUSDC"], "2024-01-03", "2024-01-03T06:00")
    statuses = _statuses(manager, timeframes=["1h"], partition=True)
    assert sorted(statuses.values()) == ["unchanged", "written"]
    assert statuses["1h/symbol=ETHUSDC/year=2024/month=1/candles.parquet"] == "written"
    after = {path: path.stat().st_ino for path in Path("out").rglob("*.parquet")}
    assert [path.parts[2] for path in before if before[path] != after[path]] == ["symbol=ETHUSDC"]


def test_export_after_a_file_was_damaged_or_lost_writes_it_anew(manager: IngestionManager) -> None:
    _statuses(manager)
    Path("out/BTCUSDC-1m.parquet").unlink()
    Path("out/ETHUSDC-1m.parquet").write_bytes(b"")
    assert set(_statuses(manager).values()) == {"written"}


def test_export_of_another_range_or_a_damaged_manifest_writes_anew(manager: IngestionManager) -> None:
    _statuses(manager, symbols=["BTCUSDC"])
    assert _statuses(manager, symbols=["BTCUSDC"], end_date="2024-01-01") == {"BTCUSDC-1m.parquet": "written"}
    assert pq.read_table("out/BTCUSDC-1m.parquet").num_rows == 1440 - 120
    Path("out/threadx-export.json").write_text("{")
    assert _statuses(manager, symbols=["BTCUSDC"], end_date="2024-01-01") == {"BTCUSDC-1m.parquet": "written"}


def test_export_removes_the_files_of_what_is_no_longer_stored(manager: IngestionManager) -> None:
    _statuses(manager)
    _statuses(manager, "csv")
    remove_candles(manager.store, "ETHUSDC", None)
    assert _statuses(manager) == {"BTCUSDC-1m.parquet": "unchanged", "ETHUSDC-1m.parquet": "removed"}
    assert not Path("out/ETHUSDC-1m.parquet").exists()
    assert Path("out/ETHUSDC-1m.csv").exists()


def test_export_of_a_range_takes_the_candles_that_open_in_it(manager: IngestionManager) -> None:
    _statuses(manager, symbols=["BTCUSDC"], timeframes=["7h"], start_date="2024-01-01T03:00", end_date="2024-01-02")
    ours = manager.candles("BTCUSDC", "7h", "2024-01-01T03:00", "2024-01-02")
    assert pq.read_table("out/BTCUSDC-7h.parquet").equals(ours)


def test_partition_of_weeks_follows_the_month_they_open_in(make_candles: object, manager: IngestionManager) -> None:
    # Three days of minutes hold one week, which opened in the last month of the year before only by its Monday.
    _statuses(manager, symbols=["BTCUSDC"], timeframes=["1w"], partition=True)
    (path,) = Path("out/1w").rglob("candles.parquet")
    assert path.parts[-3:-1] == ("year=2024", "month=1")
    assert pq.read_table(path, partitioning=None)["open_time"].to_pylist() == [datetime(2024, 1, 1)]


def test_export_of_many_files_looks_through_the_whole_store_once(
    manager: IngestionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, run_file = [], Session.run

    def noted(session: Session, name: str, **parameters: object) -> list[tuple[object, ...]]:
        ran.append(name)
        return run_file(session, name, **parameters)

    monkeypatch.setattr(Session, "run", noted)
    assert len(_statuses(manager, timeframes=["1m", "1h", "3h"])) == 6
    assert ran.count("read/symbol_spans") == 1


def test_export_of_a_symbol_that_is_removed_meanwhile_is_told(
    manager: IngestionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = exporting.compute_fingerprint

    def removing(*args: object) -> object:
        made = compute(*args)  # type: ignore[arg-type]
        remove_candles(manager.store, "BTCUSDC")
        return made

    monkeypatch.setattr(exporting, "compute_fingerprint", removing)
    with pytest.raises(StoreError, match="BTCUSDC was removed while it was exported"):
        manager.export("out", symbols=["BTCUSDC"])


def test_export_interrupted_is_completed_by_the_next(
    manager: IngestionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threadx_duck.files import exporter as exporting

    write = exporting.WRITERS["parquet"]
    calls: list[Path] = []

    def write_or_stop(path: Path, *args: object) -> int:
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return write(path, *args)  # type: ignore[arg-type]

    monkeypatch.setitem(exporting.WRITERS, "parquet", write_or_stop)
    with pytest.raises(KeyboardInterrupt):
        _statuses(manager)
    assert [path.name for path in Path("out").glob("*.parquet")] == ["BTCUSDC-1m.parquet"]
    assert [path for path in Path("out").iterdir() if ".tmp" in path.name] == []
    assert _statuses(manager) == {"BTCUSDC-1m.parquet": "unchanged", "ETHUSDC-1m.parquet": "written"}


def test_export_command_writes_to_the_processed_folder_and_counts(
    manager: IngestionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    for told in ("2 written", "2 unchanged"):
        assert run(["export", "-t", "1h", "--symbol", "BTCUSDC,ETHUSDC", "--json"]) == 0
        shown = capsys.readouterr()
        assert shown.err == f"note: 2 files in data/processed: {told}.\n"
        assert json.loads(shown.out)["files"][0]["candles"] == 46
    assert Path("data/processed/BTCUSDC-1h.parquet").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(["--layout", "archive"], "--layout is for CSV", id="layout of Parquet"),
        pytest.param(["--format", "freqtrade", "--partition"], "--partition is for", id="partitioned freqtrade"),
        pytest.param(["--symbol", "NONE"], "Not stored: NONE", id="unknown symbol"),
        pytest.param(["-t", "7x"], "Unknown timeframe '7x'", id="unknown timeframe"),
    ],
)
def test_export_command_of_what_cannot_be_is_refused(
    options: list[str], message: str, manager: IngestionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "-o", "out", *options]) == 2
    assert message in capsys.readouterr().err


def test_export_to_a_folder_that_is_a_file_is_refused(
    manager: IngestionManager, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("")
    assert run(["export", "-o", "taken/below"]) == 2
    assert "Cannot write to" in capsys.readouterr().err


def test_export_of_nine_quiet_minutes_keeps_their_seconds(manager: IngestionManager) -> None:
    _statuses(manager, "csv", symbols=["ETHUSDC"], end_date=DAYS[0] + "T00:09")
    times = pd.read_csv("out/ETHUSDC-1m.csv", parse_dates=["open_time"])["open_time"]
    assert times.diff().dropna().unique().tolist() == [timedelta(minutes=1)]


def _say_assets(host: str, *entries: tuple[str, str, str]) -> None:
    symbols = [[symbol, "TRADING", base, quote] for symbol, base, quote in entries]
    document = {"host": host, "asked_at": "2024-01-01T00:00:00Z", "symbols": symbols}
    Path("data/symbols.json").write_text(json.dumps(document))


@pytest.mark.parametrize("base", ["../../escaped", "/tmp/escaped", "..", "a/b", "..\\..\\x", "\n", ""])
def test_the_exchanges_assets_lead_to_no_other_folder(
    manager: IngestionManager, exchange: LoopbackExchange, tmp_path: Path, base: str
) -> None:
    _say_assets(exchange.url, ("BTCUSDC", base, base))
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "logs")}
    (path,) = _statuses(manager, "freqtrade", symbols=["BTCUSDC"])
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "logs")}
    made = {found for found in after - before if found.is_file()}
    assert made == {tmp_path / "out" / path, tmp_path / "out" / exporting.MANIFEST}
    assert (tmp_path / "out" / path).parent == tmp_path / "out"


def test_two_symbols_of_the_same_assets_are_refused_not_mixed(
    manager: IngestionManager, exchange: LoopbackExchange, capsys: pytest.CaptureFixture[str]
) -> None:
    _say_assets(exchange.url, ("BTCUSDC", "BTC", "USDC"), ("ETHUSDC", "BTC", "USDC"))
    assert run(["export", "-o", "out", "--format", "freqtrade"]) == 2
    assert capsys.readouterr().err.startswith(
        "threadx: error: BTCUSDC and ETHUSDC would both be written to BTC_USDC-1m.feather: "
    )
    first = feather.read_table("out/BTC_USDC-1m.feather")
    assert first["close"].to_pylist() == manager.candles("BTCUSDC", "1m")["close"].to_pylist()


@pytest.mark.parametrize("symbol", ["A\nB", 'A"B', "A,B", "../A", "..", "A\x1bB\r"])
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_any_symbol_is_exported_below_the_folder(
    store_path: Path, make_candles: Any, tmp_path: Path, symbol: str, form: str
) -> None:
    with Store(StoreSettings(database=store_path)).writing() as session, session.tables(incoming=make_candles(symbol)):
        session.run("scratch/insert_scratch")
    for arguments in (("export", "-o", "out"), ("export", "-o", "tree", "--partition")):
        assert run([*arguments, "--format", form]) == 0
    files = list(tmp_path.rglob(f"*.{form}"))
    assert len(files) == 2
    assert all(path.parent == tmp_path / "out" or path.is_relative_to(tmp_path / "tree" / "1m") for path in files)
    read = f"read_{form}"
    written = next(path for path in files if path.parent == tmp_path / "out")
    assert duckdb.sql(f"select distinct symbol from {read}('{written}')").fetchall() == [(symbol,)]


@pytest.mark.parametrize("close", [1e308, float("inf"), float("nan")])
def test_a_number_that_a_layout_cannot_hold_is_told(
    store_path: Path, make_candles: Any, capsys: pytest.CaptureFixture[str], close: float
) -> None:
    candles = make_candles("BTCUSDC", close=close)
    with Store(StoreSettings(database=store_path)).writing() as session, session.tables(incoming=candles):
        session.run("scratch/insert_scratch")
    assert run(["export", "-o", "out", "--format", "csv", "--layout", "archive"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("threadx: error: Cannot write BTCUSDC 1m as archive: ")
    assert err.count("\n") == 1
    assert not list(Path("out").glob("*.csv"))
    for form in ("csv", "parquet", "freqtrade"):
        assert run(["export", "-o", "out", "--format", form]) == 0
    for form in ("table", "csv", "json", "parquet", "arrow"):
        assert run(["candles", "BTCUSDC", "1h", "--format", form, "-o", f"rows.{form}"]) == 0
    assert run(["chart", "BTCUSDC", "1m", "--no-open", "-o", "chart.html"]) == 0
