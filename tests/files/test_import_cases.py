"""Every kind of file that once brought wrong candles or took others down: `threadx import` is exact or refuses."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from threadx_duck.cli.main import run

pytestmark = pytest.mark.slow

CASES = Path(__file__).parents[1] / "data" / "cases"
VALUES = "open, high, low, close, volume"
PRICES = ("open", "high", "low", "close", "volume")

# Each case that is read, with what a person is told of it besides.
READ = {
    "all-rejected-ok/numbers_12.json": "",
    "crash/as_polars_1.38_write_parquet.parquet": "",
    "crash/as_polars_write_ipc.feather": "",
    "crash/good.csv": "",
    "float32/BTC-USDT.parquet": "open, high, low, close, volume were in single precision",
    "header-skip/bom_no_header.zip": "",
    "header-skip/other_order_12.csv": "",
    "messages/archive.csv.gz": "",
    "messages/cdd_with_url.csv": "the line 'https://www.CryptoDataDownload.com' before the columns was passed over",
    "messages/footer.csv": "footer.csv: 1 of 41 rows rejected, 1 unreadable, such as Total,,,,,",
    "messages/iso_no_header.csv": "",
    "messages/quoted.csv": "",
    "messages/six_no_header.csv": "",
    "messages/spaces_in_header.csv": "",
    "messages/wrapped.json": "",
    "pandas-json/default.json": "",
    "pandas-json/orient_index.json": "",
    "pandas-json/time_index.json": "",
    "symbol-names/BTC-USDT-1m.csv": "",
    "symbol-names/Binance_BTCUSDT_minute.csv": "",
    "symbol-names/btcusdt-1m.csv": "",
    "zips/macos.zip": "",
    "zips/with_folder.zip": "",
}

# Those that say themselves whose candles they are.
NAMED = [
    "crash/as_polars_1.38_write_parquet.parquet",
    "crash/as_polars_write_ipc.feather",
    "messages/cdd_with_url.csv",
    "messages/wrapped.json",
    "pandas-json/default.json",
    "symbol-names/BTC-USDT-1m.csv",
    "symbol-names/Binance_BTCUSDT_minute.csv",
    "symbol-names/btcusdt-1m.csv",
]

REFUSED = {
    "all-rejected-ok/coinbase_order.json": "40 of 40 rows are no candles, 40 of them impossible_price, such as {",
    "all-rejected-ok/kucoin_order.json": "40 of 40 rows are no candles, 40 of them impossible_price",
    "crash/column_twice.csv": "has the column volume twice; keep one of them",
    "crash/cp1252_header.csv": "lacks the columns open_time. It has däte, open,",
    "crash/gbk_header.csv": "It has 时间, 开盘, 最高, 最低, 收盘, 成交量; say which is which",
    "futures-zip/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-03-05.zip": (
        "is a file of USD-M futures by its folder futures/um; this store holds spot candles"
    ),
    "messages/cdd_no_header.csv": "has no line of column names and 10 columns",
    "messages/error_body.json": "holds no candles: it says code -1121, msg Invalid symbol.",
    "messages/excel.csv": "has times that a spreadsheet rounded, such as 1.70960E+12",
    "messages/last_row_again.csv": "holds two candles that differ for 2024-03-05T00:39:00Z",
    "two-times/local_date_beside_epoch.csv": ("timestamp is 2024-03-05T00:00:00Z where date is 2024-03-05T02:00:00Z"),
}

# Read, and other candles than the forty.
OTHERS = ["mixed-units/s_then_ms.csv", "mixed-units/s_then_us.csv"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("paths.toml").write_text("")


def stored(columns: str = f"symbol, open_time, {VALUES}", order: str = "symbol, open_time") -> list[tuple[Any, ...]]:
    if not Path("data/threadx.duckdb").exists():
        return []
    with duckdb.connect("data/threadx.duckdb", read_only=True) as connection:
        return connection.execute(f"select {columns} from candles_1m order by {order}").fetchall()


def rows_of(minutes: int = 40) -> list[list[Any]]:
    """The forty candles in the exchange's twelve columns, times in milliseconds."""
    rows: list[list[Any]] = json.loads((CASES / "all-rejected-ok" / "numbers_12.json").read_bytes())
    return rows[:minutes]


def due(rows: list[list[Any]] | None = None, symbol: str = "BTCUSDT") -> list[tuple[Any, ...]]:
    return [
        (symbol, datetime.fromtimestamp(row[0] / 1000, UTC).replace(tzinfo=None), *row[1:6])
        for row in (rows if rows is not None else rows_of())
    ]


def the_error(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert line.startswith("threadx: error: ")
    assert len(line) < 500
    return line


def test_every_case_is_one_of_these() -> None:
    apart = {".py", ".toml", ".CHECKSUM"}
    files = {str(path.relative_to(CASES)) for path in CASES.rglob("*") if path.is_file() and path.suffix not in apart}
    assert files == {*READ, *REFUSED, *OTHERS}


@pytest.mark.parametrize("case", READ)
def test_case_is_read_exactly(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", str(CASES / case), "--symbol", "BTCUSDT"]) == 0
    assert stored() == due()
    told = capsys.readouterr().err
    assert READ[case] in told
    assert len(told.splitlines()) == (2 if READ[case] else 1)


@pytest.mark.parametrize("case", ["header-skip/other_order_12.csv", "messages/quoted.csv", "zips/macos.zip"])
def test_all_twelve_columns_are_read_by_what_they_are(case: str) -> None:
    assert run(["import", str(CASES / case), "--symbol", "BTCUSDT"]) == 0
    kept = stored("quote_volume, trade_count, taker_buy_volume, taker_buy_quote_volume")
    assert kept == [tuple(row[7:11]) for row in rows_of()]


@pytest.mark.parametrize("case", NAMED)
def test_case_that_names_its_symbol_needs_no_option(case: str) -> None:
    assert run(["import", str(CASES / case)]) == 0
    assert stored() == due()


@pytest.mark.parametrize("case", REFUSED)
def test_case_is_refused_in_one_line_and_the_file_beside_it_is_stored(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", str(CASES / case), str(CASES / "crash" / "good.csv"), "--symbol", "BTCUSDT"]) == 1
    assert REFUSED[case] in the_error(capsys)
    assert stored() == due()


@pytest.mark.parametrize(("case", "minutes"), [(OTHERS[0], 80), (OTHERS[1], 2_940)])
def test_each_row_tells_its_own_unit(case: str, minutes: int) -> None:
    assert run(["import", str(CASES / case), "--symbol", "BTCUSDT"]) == 0
    start = datetime(2024, 12, 31)
    assert [time for (time,) in stored("open_time")] == [start + timedelta(minutes=number) for number in range(minutes)]


def test_headers_of_other_encodings_are_read_where_a_person_says_which_is_which() -> None:
    chinese = "open_time=时间,open=开盘,high=最高,low=最低,close=收盘,volume=成交量"
    assert run(["import", str(CASES / "crash/gbk_header.csv"), "--symbol", "BTCUSDT", "--map", chinese]) == 0
    accented = ["--symbol", "ETHUSDT", "--map", "open_time=däte"]
    assert run(["import", str(CASES / "crash/cp1252_header.csv"), *accented]) == 0
    assert stored() == [*due(), *due(symbol="ETHUSDT")]


def csv_of(header: str, rows: list[list[Any]], between: str = ",") -> bytes:
    return "\n".join([*([header] if header else []), *(between.join(map(str, row)) for row in rows)]).encode() + b"\n"


def six(unit: Callable[[int], Any] = lambda time: time) -> list[list[Any]]:
    return [[unit(row[0]), *row[1:6]] for row in rows_of()]


def zipped(*members: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


HEADERS = ("timestamp", "date", "datetime", "time", "ts", "unix", "Open Time", "DATE", " Timestamp ")


@pytest.mark.parametrize("time", HEADERS)
def test_usual_names_of_the_time_are_known(time: str) -> None:
    Path("x.csv").write_bytes(csv_of(f"{time},Open,HIGH, low ,close ,Volume", six()))
    assert run(["import", "x.csv", "--symbol", "btc/usdt"]) == 0
    assert stored() == due()


def iso(form: str, hours: int = 0) -> Callable[[int], str]:
    return lambda time: (datetime.fromtimestamp(time / 1000, UTC) + timedelta(hours=hours)).strftime(form)


FILES: dict[str, tuple[str, bytes]] = {
    "seconds without a header": ("x.csv", csv_of("", six(lambda time: time // 1000))),
    "nanoseconds": ("x.csv", csv_of("ts,open,high,low,close,volume", six(lambda time: time * 10**6))),
    "fractions of seconds": ("x.csv", csv_of("ts,open,high,low,close,volume", six(lambda time: f"{time // 1000}.000"))),
    "offsets": ("x.csv", csv_of("", six(iso("%Y-%m-%dT%H:%M:%S+09:30", 9.5)))),  # type: ignore[arg-type]
    "slashes": ("x.csv", csv_of("", six(iso("%Y/%m/%d %H:%M")))),
    "nine digits": ("x.csv", csv_of("", six(iso("%Y-%m-%d %H:%M:%S.000000000")))),
    "semicolons": ("x.csv", csv_of("date;open;high;low;close;volume", six(), ";")),
    "Windows line ends": ("x.csv", csv_of("date,open,high,low,close,volume", six()).replace(b"\n", b"\r\n")),
    "mark and header": ("x.csv", b"\xef\xbb\xbf" + csv_of("time,open,high,low,close,volume", six())),
    "UTF-16": ("x.csv", csv_of("time,open,high,low,close,volume", six()).decode().encode("utf-16")),
    "index of a frame": ("x.csv", csv_of(",date,open,high,low,close,volume", [[3, *row] for row in six()])),
    "time as the index": ("x.csv", csv_of(",open,high,low,close,volume", six(iso("%Y-%m-%d %H:%M:%S")))),
    "gzip without a header": ("x.csv.gz", gzip.compress(csv_of("", six()))),
    "two lines above": ("x.csv", b"# a site\n\n" + csv_of("time,open,high,low,close,volume", six())),
    "exponents that tell": ("x.csv", csv_of("", six(lambda time: f"{time:.11E}"))),
    "folders in a zip": ("x.zip", zipped(("a/b/", b""), ("a/b/c.csv", csv_of("", six())), ("a/.DS_Store", b"\0"))),
    "identical row again": ("x.csv", csv_of("", [*six(), six()[-1], six()[3]])),
    "prices as texts": ("x.json", json.dumps([[row[0], *map(str, row[1:])] for row in six()]).encode()),
    "split frame": ("x.json", json.dumps({"columns": ["date", *PRICES], "index": [0], "data": six()}).encode()),
    "columns as lists": (
        "x.json",
        json.dumps(dict(zip(["t", "o", "h", "l", "c", "v"], zip(*six(), strict=True), strict=True))).encode(),
    ),
    "times in the index, out of order": (
        "x.json",
        json.dumps(
            {name: {str(row[0]): row[place] for row in reversed(six())} for place, name in enumerate(PRICES, 1)}
        ).encode(),
    ),
    "table frame": (
        "x.json",
        json.dumps(
            {
                "schema": {"fields": [{"name": "date", "type": "integer"}], "primaryKey": ["index"]},
                "data": [dict(zip(["date", *PRICES], row, strict=True)) for row in six()],
            }
        ).encode(),
    ),
    "numbers of both kinds": (
        "x.json",
        json.dumps(
            [[row[0], str(row[1]) if place % 2 else row[1], *row[2:]] for place, row in enumerate(six())]
        ).encode(),
    ),
    "answer around lists": ("x.json", json.dumps({"code": 0, "data": {"rows": six()}}).encode()),
}


@pytest.mark.parametrize("kind", FILES)
def test_file_whose_meaning_is_plain_is_read_exactly(kind: str) -> None:
    name, content = FILES[kind]
    Path(name).write_bytes(content)
    assert run(["import", name, "--symbol", "BTCUSDT"]) == 0
    assert stored() == due()


BAD: dict[str, tuple[str, bytes, str]] = {
    "prices twice": (
        "x.csv",
        csv_of("date,open,Open,high,low,close,volume", [[*row, 1] for row in six()]),
        "both open and Open",
    ),
    "times of 1970": (
        "x.csv",
        csv_of("", six(lambda time: time // 1000 - 1_704_067_200)),
        "40 of them before_the_exchange",
    ),
    "2016": ("x.csv", csv_of("", six(lambda time: time - 8 * 366 * 86_400_000)), "40 of them before_the_exchange"),
    "texts in prices": ("x.csv", csv_of("", [[row[0], "a", *row[2:]] for row in six()]), "of them unreadable, such as"),
    "exponents": ("x.csv", csv_of("", six(lambda time: f"{time:.6E}")), "that a spreadsheet rounded, such as 1.7"),
    "two files in a zip": ("x.zip", zipped(("a.csv", b"1"), ("b.csv", b"1")), "holds 2 files where one is due"),
    "bytes": ("x.csv", b"\0\1\2" * 100, "bytes that are no text"),
    "nothing": ("x.csv", b"", "holds no candles"),
    "a header alone": ("x.csv", b"date,open,high,low,close,volume\n", "holds no candles"),
    "a word": ("x.json", b'"later"', "holds no list of candles"),
    "an empty object": ("x.json", b"{}", "it is empty"),
    "rows in a row": ("x.json", b"[[[1]],[[2]]]", "rows have [1] cells"),
    "columns that differ": (
        "x.json",
        b'{"date":{"0":1},"open":{"1":1},"high":{"0":1},"low":{"0":1},"close":{"0":1}}',
        "columns have different rows",
    ),
    "another timeframe inside": (
        "x.json",
        json.dumps({"interval": "5m", "candles": six()}).encode(),
        "holds 5m candles",
    ),
    "no calendar's day": (
        "x.csv",
        csv_of("", [["2024-02-31", *row[1:]] for row in six()]),
        "a time that no calendar has",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_file_that_is_not_plain_is_refused_in_one_line(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, content, message = BAD[kind]
    Path(name).write_bytes(content)
    assert run(["import", name, str(CASES / "crash" / "good.csv"), "--symbol", "BTCUSDT"]) == 1
    assert message in the_error(capsys)
    assert stored() == due()


def test_whatever_goes_wrong_with_one_file_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from threadx_duck.files import importer as importing

    whole = importing.read_pages

    def failing(path: Path, *arguments: Any) -> Any:
        if path.name == "x.csv":
            raise RecursionError("too deep\nand a second line")
        return whole(path, *arguments)

    monkeypatch.setattr(importing, "read_pages", failing)
    Path("x.csv").write_bytes(csv_of("", six()))
    good = shutil.copy(CASES / "crash" / "good.csv", "z.csv")
    assert run(["import", "x.csv", good, "--symbol", "BTCUSDT"]) == 1
    assert "x.csv could not be read (RecursionError: too deep)" in the_error(capsys)
    assert stored() == due()


@pytest.mark.parametrize("single", [pa.float32(), "widened"])
def test_single_precision_that_lost_digits_is_refused(single: Any, capsys: pytest.CaptureFixture[str]) -> None:
    minutes = pa.array([row[0] for row in six()], pa.timestamp("ms"))
    prices = pa.array([1_234_567.25 + number / 100 for number in range(40)]).cast(pa.float32())
    prices = prices.cast(pa.float64()) if single == "widened" else prices
    pq.write_table(pa.table({"open_time": minutes, **dict.fromkeys(PRICES, prices)}), "x.parquet")
    assert run(["import", "x.parquet", "--symbol", "BTCUSDT"]) == 1
    assert "in single precision, which has lost digits" in the_error(capsys)


def symbols_of(*written: str) -> None:
    columns: dict[str, list[Any]] = {name: [] for name in ("symbol", "date", *PRICES)}
    for symbol in written:
        for row in six():
            for name, value in zip(columns, [symbol, *row], strict=True):
                columns[name].append(value)
    feather.write_feather(pa.table(columns), "x.feather")


@pytest.mark.parametrize("written", ["eth-usdt", "ETH/USDT", " ETHUSDT ", "Eth/Usdt"])
def test_symbol_of_a_file_is_taken_as_the_exchange_writes_it(written: str) -> None:
    symbols_of(written)
    assert run(["import", "x.feather"]) == 0
    assert stored() == due(symbol="ETHUSDT")


def test_several_symbols_are_told_apart_and_no_option_renames_them(capsys: pytest.CaptureFixture[str]) -> None:
    symbols_of("ETH/USDT", "BTC-USDT")
    assert run(["import", "x.feather", "--symbol", "BTCUSDT"]) == 1
    assert "holds 2 symbols (BTCUSDT, ETHUSDT), so --symbol cannot name one; leave it out" in the_error(capsys)
    assert run(["import", "x.feather"]) == 0
    assert stored() == [*due(), *due(symbol="ETHUSDT")]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("BTC\nUSDT", r"'BTC\nUSDT' is no symbol; perhaps BTCUSDT is meant."),
        ("BTC\x1b[31mUSDT", r"'BTC\x1b[31mUSDT' is no symbol"),
        ("BTC/USDT:USDT", "'BTC/USDT:USDT' is no symbol; perhaps BTCUSDT is meant."),
        ("BTCUSD_PERP", "holds BTCUSD_PERP, which only futures are called"),
        ("BTCUSDTSETTLED", "If spot's BTCUSDT is meant, say --symbol BTCUSDT"),
        ("?", "'?' is no symbol; a symbol has letters and digits"),
    ],
)
def test_what_cannot_be_a_symbol_is_refused_with_the_likely_one(
    written: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    symbols_of(written)
    assert run(["import", "x.feather", str(CASES / "messages" / "wrapped.json")]) == 1
    assert message in the_error(capsys)
    assert stored() == due()


def test_option_that_cannot_be_a_symbol_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["import", str(CASES / "crash" / "good.csv"), "--symbol", "BTC USDT"]) == 2
    assert "'BTC USDT' is no symbol; perhaps BTCUSDT is meant." in the_error(capsys)


HEADER = (
    b"open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    b"taker_buy_volume,taker_buy_quote_volume,ignore\n"
)


@pytest.mark.parametrize(
    ("folder", "name", "content", "sign"),
    [
        ("futures/cm/monthly", "BTCUSDT-1m-2024-03.csv", csv_of("", rows_of()), "COIN-M futures by its folder"),
        ("elsewhere", "BTCUSDT-1m-2024-03.csv", HEADER + csv_of("", rows_of()), "futures by its header line"),
        (
            "elsewhere",
            "BTCUSDT-1m-2025-03-05.zip",
            zipped(("a.csv", csv_of("", [[row[0] + 31_536_000_000, *row[1:]] for row in rows_of()]))),
            "futures by its milliseconds in 2025",
        ),
    ],
)
def test_file_in_the_archive_s_form_of_another_market_is_refused(
    folder: str, name: str, content: bytes, sign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(folder) / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    assert run(["import", str(path)]) == 1
    assert sign in the_error(capsys)
    # Anybody's own table has a header and milliseconds in every market.
    own = path.rename(path.with_name("own" + path.suffix))
    assert run(["import", str(own), "--symbol", "BTCUSDT"]) == 0
    assert len(stored()) == 40


def test_option_never_renames_a_verified_file_of_the_archive(capsys: pytest.CaptureFixture[str]) -> None:
    source = next((CASES / "futures-zip").rglob("*.zip"))
    for suffix in ("", ".CHECKSUM"):
        shutil.copy(f"{source}{suffix}", f"{source.name}{suffix}")
    assert run(["import", source.name, "--symbol", "ETHUSDT"]) == 1
    assert "is the archive's file of BTCUSDT, not of ETHUSDT; leave --symbol out." in the_error(capsys)


def test_two_times_that_agree_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    both = [[row[0], iso("%Y-%m-%d %H:%M:%S")(row[0]), *row[1:]] for row in six()]
    Path("x.csv").write_bytes(csv_of("unix,date,open,high,low,close,volume", both))
    assert run(["import", "x.csv", "--symbol", "BTCUSDT"]) == 0
    assert stored() == due()


def test_one_of_two_times_that_differ_is_taken_if_a_person_says_which() -> None:
    case = str(CASES / "two-times" / "local_date_beside_epoch.csv")
    assert run(["import", case, "--symbol", "BTCUSDT", "--map", "open_time=timestamp"]) == 0
    assert stored() == due()


def test_rows_rejected_and_kept_are_told_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*six(), [0, 1, 1, 1, 1, 1], ["total", "", "", "", "", ""], [*six()[0][:1], 5, 1, 9, 5, 1]]
    Path("x.csv").write_bytes(csv_of("ts,open,high,low,close,volume", rows))
    assert run(["import", "x.csv", "--symbol", "BTCUSDT"]) == 0
    assert "x.csv: 3 of 43 rows rejected, 1 " in capsys.readouterr().err
    assert stored() == due()
    with duckdb.connect("data/threadx.duckdb", read_only=True) as connection:
        reasons = connection.execute("select reason, raw from rejected_rows order by reason").fetchall()
    assert [reason for reason, _ in reasons] == ["before_the_exchange", "impossible_price", "unreadable"]
    assert reasons[2][1] == "total,,,,,"
