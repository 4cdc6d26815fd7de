"""Any candles in any form that is read come back equal; and each kind of refusal with other values than the cases'."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from threadx_duck.cli.main import run
from threadx_duck.errors import StoreError
from threadx_duck.files import importer as importing
from threadx_duck.files.pages import read_pages
from threadx_duck.storage.store import Store

pytestmark = pytest.mark.slow

PRICES = ["open", "high", "low", "close", "volume"]
START = datetime(2023, 5, 6, 7)
MILLIS = 1_683_356_400_000
Rows = list[list[Any]]


def _prices(number: int, digits: int = 2) -> list[float]:
    """A candle of its own for each number, with so many digits after the point."""
    step = 10**digits
    first = 1_800 * step + 37 * number % 977
    return [first / step, (first + 9) / step, (first - 5) / step, (first + 3) / step, (number % 90 * 1000 + 7) / 1000]


def made(count: int = 12, digits: int = 2) -> Rows:
    """Rows of milliseconds, prices and volume."""
    return [[MILLIS + 60_000 * number, *_prices(number, digits)] for number in range(count)]


def lines(rows: Rows, header: str = "timestamp,open,high,low,close,volume", by: str = ",") -> bytes:
    texts = [by.join(cell if isinstance(cell, str) else repr(cell) for cell in row) for row in rows]
    return "".join(f"{line}\n" for line in ([header] if header else []) + texts).encode()


def frame(rows: Rows, *, zoned: bool = False) -> pd.DataFrame:
    times = pd.to_datetime([row[0] for row in rows], unit="ms", utc=zoned)
    return pd.DataFrame({name: [row[k] for row in rows] for k, name in enumerate(PRICES, 1)}, index=times)


def pandas_json(rows: Rows, orient: str | None = None) -> bytes:
    """The frame with its index named and as epochs; of the form that keeps a schema, as the ISO text it then writes."""
    content = frame(rows).rename_axis("date")
    if orient == "table":
        return content.to_json(orient=orient, double_precision=15, date_format="iso").encode()
    content.index = pd.Index([row[0] for row in rows], name="date")
    if orient == "records":
        return content.reset_index().to_json(orient=orient, lines=True, double_precision=15).encode()
    return content.to_json(orient=orient, double_precision=15).encode()


def table(rows: Rows, **others: pa.Array) -> pa.Table:
    times = pa.array([row[0] for row in rows], pa.timestamp("ms"))
    values = {name: pa.array([row[k] for row in rows], pa.float64()) for k, name in enumerate(PRICES, 1)}
    return pa.table({"open_time": times, **values, **others})


def zipped(*members: tuple[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, body in members:
            archive.writestr(name, body)
    return target.getvalue()


def parquet(content: pa.Table) -> bytes:
    target = io.BytesIO()
    pq.write_table(content, target)
    return target.getvalue()


def ipc(content: pa.Table) -> bytes:
    target = io.BytesIO()
    feather.write_feather(content, target)
    return target.getvalue()


def polars_of(rows: Rows, write: str) -> bytes:
    target = io.BytesIO()
    getattr(pl.from_arrow(table(rows)), write)(target)
    return target.getvalue()


def pandas_parquet(rows: Rows) -> bytes:
    target = io.BytesIO()
    frame(rows).to_parquet(target)
    return target.getvalue()


def twelve(rows: Rows) -> Rows:
    return [[*row, row[0] + 59_999, row[5] * 2, 3, 0.0, 0.0, 0] for row in rows]


def iso(rows: Rows, form: str, hours: int = 0) -> Rows:
    return [[(_at(row[0]) + timedelta(hours=hours)).strftime(form), *row[1:]] for row in rows]


def _at(millis: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(milliseconds=millis)


FORMS: dict[str, tuple[str, Callable[[Rows], bytes]]] = {
    "csv": ("ETHUSDT-1m.csv", lines),
    "csv, headerless": ("eth_usdt-1m.csv", lambda rows: lines(rows, "")),
    "csv, headerless, twelve": ("ETH_USDT-1m.csv", lambda rows: lines(twelve(rows), "")),
    "csv, headerless, in microseconds": (
        "ETHUSDT-1m.csv",
        lambda rows: lines([[row[0] * 1000, *row[1:]] for row in rows], ""),
    ),
    "csv, capitals and blanks": (
        "ETHUSDT-1m.csv",
        lambda rows: lines(rows, "Open Time; Open ; HIGH;low; Close;Volume", "; "),
    ),
    "csv, tabs": ("ETHUSDT-1m.csv", lambda rows: lines(rows, "\t".join(["Date", *PRICES]), "\t")),
    "csv, exchange's own names": (
        "ETHUSDT-1m.csv",
        lambda rows: lines(
            twelve(rows),
            "Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume,Number of trades,"
            "Taker buy base asset volume,Taker buy quote asset volume,Ignore",
        ),
    ),
    "csv, another exchange of columns": (
        "ETHUSDT-1m.csv",
        lambda rows: lines([[*row[3:], *row[:3]] for row in rows], "low,close,volume,unix,open,high"),
    ),
    "csv, iso with an offset": (
        "ETHUSDT-1m.csv",
        lambda rows: lines(iso(rows, "%Y-%m-%dT%H:%M:%S+02:00", 2), "datetime,o,h,l,c,v"),
    ),
    "csv, slashes": ("ETHUSDT-1m.csv", lambda rows: lines(iso(rows, "%Y/%m/%d %H:%M"), "time,o,h,l,c,v")),
    "csv, UTC in words": ("ETHUSDT-1m.csv", lambda rows: lines(iso(rows, "%Y-%m-%d %H:%M:%S UTC"), "ts,o,h,l,c,v")),
    "csv, nine digits": (
        "ETHUSDT-1m.csv",
        lambda rows: lines(iso(rows, "%Y-%m-%d %H:%M:%S.000000000"), "date,o,h,l,c,v"),
    ),
    "csv, numbers with a point": (
        "ETHUSDT-1m.csv",
        lambda rows: lines([[row[0] / 1000, *row[1:]] for row in rows], "time,o,h,l,c,v"),
    ),
    "csv, text before": ("ETHUSDT-1m.csv", lambda rows: b"sep=,\n\nhttps://example.com/x\n" + lines(rows)),
    "csv, mark and line ends of Windows": (
        "ETHUSDT-1m.csv",
        lambda rows: b"\xef\xbb\xbf" + lines(rows).replace(b"\n", b"\r\n"),
    ),
    "csv, UTF-16": ("ETHUSDT-1m.csv", lambda rows: lines(rows).decode().encode("utf-16")),
    "csv, quoted": (
        "ETHUSDT-1m.csv",
        lambda rows: lines([[f'"{cell}"' for cell in row] for row in rows], '"t","o","h","l","c","v"'),
    ),
    "csv, latest first": ("ETHUSDT-1m.csv", lambda rows: lines(rows[::-1])),
    "csv, each row twice": ("ETHUSDT-1m.csv", lambda rows: lines([row for row in rows for _ in range(2)])),
    "csv, index of pandas": ("ETHUSDT-1m.csv", lambda rows: frame(rows).to_csv().encode()),
    "csv, zoned index of pandas": ("ETHUSDT-1m.csv", lambda rows: frame(rows, zoned=True).to_csv().encode()),
    "csv, numbered by pandas": (
        "ETHUSDT-1m.csv",
        lambda rows: frame(rows).rename_axis("date").reset_index().to_csv().encode(),
    ),
    "csv, a column of symbols": (
        "x.csv",
        lambda rows: lines([["eth/usdt", *row] for row in rows], "pair,timestamp,open,high,low,close,volume"),
    ),
    "csv, gzip": ("ETHUSDT-1m.csv.gz", lambda rows: gzip.compress(lines(rows))),
    "csv, zip": ("ETHUSDT-1m.zip", lambda rows: zipped(("a/b.csv", lines(rows)), ("a/.DS_Store", b"\0"))),
    "json in a zip": ("x.zip", lambda rows: zipped(("ETH-USDT-1m.json", json.dumps(rows).encode()))),
    "parquet in a zip": ("x.zip", lambda rows: zipped(("ETHUSDT-1m.parquet", parquet(table(rows))))),
    "json, lists": ("ETH_USDT-1m.json", lambda rows: json.dumps(rows).encode()),
    "json, lists of texts": (
        "ETHUSDT-1m.json",
        lambda rows: json.dumps([[row[0], *map(repr, row[1:])] for row in rows]).encode(),
    ),
    "json, twelve of texts": (
        "ETHUSDT-1m.json",
        lambda rows: json.dumps([[str(cell) for cell in row] for row in twelve(rows)]).encode(),
    ),
    "json of pandas": ("ETHUSDT-1m.json", pandas_json),
    **{
        f"json of pandas, {orient}": ("ETHUSDT-1m.json", lambda rows, orient=orient: pandas_json(rows, orient))
        for orient in ("columns", "index", "split", "table")
    },
    "json, columns": (
        "ETHUSDT-1m.json",
        lambda rows: json.dumps(dict(zip("tohlcv", map(list, zip(*rows, strict=True)), strict=True))).encode(),
    ),
    "json, wrapped twice": (
        "x.json",
        lambda rows: json.dumps(
            {"ok": True, "result": {"symbol": "ETH-USDT", "interval": "1m", "list": rows}}
        ).encode(),
    ),
    "parquet": ("ETHUSDT-1m.parquet", lambda rows: parquet(table(rows))),
    "parquet of pandas": ("ETHUSDT-1m.parquet", pandas_parquet),
    "parquet of polars": ("ETHUSDT-1m.parquet", lambda rows: polars_of(rows, "write_parquet")),
    "feather of polars": ("ETHUSDT-1m.feather", lambda rows: polars_of(rows, "write_ipc")),
    "parquet of decimals": (
        "ETHUSDT-1m.parquet",
        lambda rows: parquet(
            pa.table(
                {"open_time": table(rows)["open_time"]}
                | {
                    name: pa.array([Decimal(repr(row[k])) for row in rows], pa.decimal128(38, 8))
                    for k, name in enumerate(PRICES, 1)
                }
            )
        ),
    ),
    "feather with categories": (
        "x.feather",
        lambda rows: ipc(table(rows, symbol=pa.array(["ETH-USDT"] * len(rows)).dictionary_encode())),
    ),
    "feather of nanoseconds": (
        "ETHUSDT-1m.feather",
        lambda rows: ipc(table(rows).set_column(0, "date", table(rows)["open_time"].cast(pa.timestamp("ns", "UTC")))),
    ),
}


def candles(seed: int) -> Rows:
    """Some minutes with prices and volumes of eight digits after the point at most."""
    random = Random(seed)
    digits = random.randint(0, 8)
    rows = []
    for minute in sorted({0, 1, *random.sample(range(31), random.randint(3, 12))}):
        low, *others = sorted(random.randint(1, 10 ** random.randint(1, 9)) for _ in range(4))
        between = others[:2]
        random.shuffle(between)
        prices = [price / 10**digits for price in (between[0], others[2], low, between[1])]
        rows.append([MILLIS + 60_000 * minute, *prices, random.randint(1, 10**9) / 10**digits])
    return rows


@pytest.mark.parametrize("form", FORMS)
def test_any_candles_in_any_form_come_back_equal(form: str, tmp_path: Path) -> None:
    name, write = FORMS[form]
    for seed in range(12):
        rows = candles(seed)
        path = tmp_path / name
        path.write_bytes(write(rows))
        ((page,), _) = read_pages(path, None, {})
        assert (page.symbol, page.rejected.num_rows) == ("ETHUSDT", 0), seed
        read = page.candles.select(["open_time", *PRICES]).to_pylist()
        assert [list(row.values()) for row in read] == [[_at(row[0]), *row[1:]] for row in rows], seed


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def imported(name: str, body: bytes, *options: str) -> int:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(body)
    return run(["--db", "s.duckdb", "import", name, *options])


def stored(columns: str = "symbol, open_time, open, high, low, close, volume") -> list[tuple[Any, ...]]:
    with duckdb.connect("s.duckdb", read_only=True) as connection:
        return connection.execute(f"select {columns} from candles_1m order by symbol, open_time").fetchall()


def test_the_forms_are_read_through_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for name, write in FORMS.values():
        Path("s.duckdb").unlink(missing_ok=True)
        assert imported(name, write(made())) == 0, capsys.readouterr().err
        assert stored() == [("ETHUSDT", _at(row[0]), *row[1:]) for row in made()]


def _changed(row: int, cell: int, value: Any) -> Rows:
    rows = made()
    rows[row][cell] = value
    return rows


def _single(digits: int = 2, **others: pa.Array) -> pa.Table:
    whole = table(made(digits=digits), **others)
    return pa.table(
        {
            name: values if name == "open_time" else values.cast(pa.float32())
            for name, values in zip(whole.column_names, whole.columns, strict=True)
        }
    )


ARCHIVE = "ETHUSDT-1m-2025-02-03"
LATE = [[1_738_540_800_000 + 60_000 * number, *_prices(number)] for number in range(12)]
SYMBOLS = "symbol,timestamp,open,high,low,close,volume"

REFUSED: dict[str, tuple[str, bytes, str]] = {
    "times that differ in one row": (
        "ETHUSDT-1m.csv",
        lines(
            [[row[0], row[0] // 1000 + 60 * (number == 7), *row[1:]] for number, row in enumerate(made())],
            "ts,unix,open,high,low,close,volume",
        ),
        "ts is 2023-05-06T07:07:00Z where unix is 2023-05-06T07:08:00Z",
    ),
    "a day's name for its minutes": (
        "ETHUSDT-1m.csv",
        lines(iso(made(), "%Y-%m-%d"), "date,open,high,low,close,volume"),
        "holds two candles that differ for 2023-05-06T00:00:00Z and 10 other minutes",
    ),
    "numbers for times": (
        "ETHUSDT-1m.csv",
        lines([[number, *row[1:]] for number, row in enumerate(made())]),
        "holds no 1m candles: 11 of 12 open off the minute",
    ),
    "American dates": (
        "ETHUSDT-1m.csv",
        lines(iso(made(), "%m/%d/%Y %H:%M")),
        "times that cannot be read, such as '05/06/2023 07:00'",
    ),
    "no such day": ("ETHUSDT-1m.csv", lines([["2023-02-31", *made()[0][1:]]]), "a time that no calendar has"),
    "another rounding of a spreadsheet": (
        "ETHUSDT-1m.csv",
        lines([[f"{row[0] / 1000:.3E}", *row[1:]] for row in made()]),
        "that a spreadsheet rounded, such as 1.683E+09",
    ),
    "single precision that lost digits": (
        "ETHUSDT-1m.parquet",
        parquet(_single(5)),
        "has the column open in single precision, which has lost digits: near 1800",
    ),
    "single precision in doubles": (
        "ETHUSDT-1m.parquet",
        parquet(
            pa.table(
                {
                    n: c.cast(pa.float64()) if n != "open_time" else c
                    for n, c in zip(_single(5).column_names, _single(5).columns, strict=True)
                }
            )
        ),
        "has the column open in single precision",
    ),
    "COIN-M by its folder": (
        f"futures/cm/monthly/klines/ETHUSD/1m/{ARCHIVE}.csv",
        lines(twelve(LATE), ""),
        "is a file of COIN-M futures by its folder futures/cm",
    ),
    "mark prices by their folder": (
        "markPriceKlines/ETHUSDT-1m-2023-05.csv",
        lines(twelve(made()), ""),
        "is a file of futures by its folder markPriceKlines",
    ),
    "futures by their unit": (
        f"{ARCHIVE}.csv",
        lines(twelve(LATE), ""),
        "is a file of futures by its milliseconds in 2025 or later",
    ),
    "futures by their unit, in a zip": (
        f"{ARCHIVE}.zip",
        zipped((f"{ARCHIVE}.csv", lines(twelve(LATE), ""))),
        "is a file of futures by its milliseconds in 2025 or later",
    ),
    "a delivery by its name": (
        "ETHUSDT_230630-1m-2023-05.csv",
        lines(twelve(made()), ""),
        "holds no spot candles by its name",
    ),
    "a perpetual in a column": (
        "x.csv",
        lines([["ETHUSD_PERP", *row] for row in made()], SYMBOLS),
        "x.csv holds ETHUSD_PERP, which only futures are called",
    ),
    "a settled contract": (
        "x.csv",
        lines([["ETHUSDTSETTLED", *row] for row in made()], SYMBOLS),
        "x.csv holds ETHUSDTSETTLED, which only futures are called",
    ),
    "ccxt's swap": (
        "x.csv",
        lines([["ETH/USDT:USDT", *row] for row in made()], SYMBOLS),
        "x.csv: 'ETH/USDT:USDT' is no symbol; perhaps ETHUSDT is meant",
    ),
    "an underscore": (
        "x.csv",
        lines([["eth_usdt", *row] for row in made()], SYMBOLS),
        "If spot's ETHUSDT is meant, say --symbol ETHUSDT",
    ),
    "a line break in a symbol": (
        "x.parquet",
        parquet(table(made(), symbol=pa.array(["ETH\nUSDT\x1b[31m"] * 12))),
        r"x.parquet: 'ETH\nUSDT\x1b[31m' is no symbol",
    ),
    "Kraken's": (
        "Kraken_ETHUSD_minute.csv",
        lines(made()),
        "names no symbol. Say which: threadx import Kraken_ETHUSD_minute.csv --symbol SYMBOL",
    ),
    "two names for one column": (
        "ETHUSDT-1m.csv",
        lines([[*row, row[5]] for row in made()], "timestamp,open,high,low,close,vol,basevolume"),
        "has both vol and basevolume",
    ),
    "one price higher than the highest, often": (
        "ETHUSDT-1m.csv",
        lines([[row[0], row[1], row[2] if n < 15 else row[3], *row[3:]] for n, row in enumerate(made(40))]),
        "impossible_price",
    ),
    "two symbols without a name": (
        "ETHUSDT-1m.csv",
        lines([row for number in range(12) for row in (made()[number], [made()[number][0], *_prices(number + 500)])]),
        "holds two candles that differ for 2023-05-06T07:00:00Z and 11 other minutes",
    ),
    "a header alone": ("ETHUSDT-1m.csv", b"timestamp,open,high,low,close,volume\n", "holds no candles"),
    "an empty file": ("ETHUSDT-1m.csv", b"", "holds no candles"),
    "two files in a zip": (
        "x.zip",
        zipped(("a.csv", b""), ("b.csv", b"")),
        "holds 2 files where one is due",
    ),
    "another timeframe in a zip": (
        "x.zip",
        zipped(("ETHUSDT-5m.csv", lines(made()))),
        "x.zip holds ETHUSDT-5m.csv, with 5m candles by its name",
    ),
    "another symbol in a zip": (
        "ETHUSDT-1m-2023-05.zip",
        zipped(("BTCUSDT-1m-2023-05.csv", lines(twelve(made()), ""))),
        "is named after ETHUSDT and holds BTCUSDT-1m-2023-05.csv",
    ),
    "futures in a zip, by the name": (
        "ETHUSDT-1m.zip",
        zipped(("ETH_USDT_USDT-1m-futures.csv", lines(made()))),
        "ETHUSDT-1m.zip: ETH_USDT_USDT-1m-futures.csv holds no spot candles by its name",
    ),
    "futures in a zip, by the folder": (
        "x.zip",
        zipped(("futures/um/ETHUSDT-1m-2023-05.csv", lines(twelve(made()), ""))),
        "x.zip is a file of USD-M futures by its folder futures/um",
    ),
    "a zip in a zip": (
        "x.zip",
        zipped(("ETHUSDT-1m.zip", zipped(("ETHUSDT-1m.csv", lines(made()))))),
        "Unpack it first",
    ),
    "lines of JSON": (
        "ETHUSDT-1m.json",
        pandas_json(made(), "records"),
        "is not readable JSON: unexpected content after document",
    ),
    "a name with the timeframe in another way": (
        "eth-usdt_1m.csv",
        lines(made()),
        "names no symbol. Say which: threadx import eth-usdt_1m.csv --symbol ETHUSDT",
    ),
    "single quote volumes that lost digits": (
        "ETHUSDT-1m.parquet",
        parquet(table(made(), quote_volume=pa.array(np.arange(12) * 12345.6789 + 0.12345678).cast(pa.float32()))),
        "has the column quote_volume in single precision, which has lost digits",
    ),
    "another timeframe in JSON": (
        "ETHUSDT.json",
        json.dumps({"interval": "5m", "data": made()}).encode(),
        "holds 5m candles, as it says",
    ),
    "rows of seven": ("ETHUSDT-1m.json", json.dumps([[*row, 1] for row in made()]).encode(), "its rows have [7] cells"),
    "another error": (
        "ETHUSDT-1m.json",
        b'{"retCode":10001,"retMsg":"params error","result":{}}',
        "holds no candles: it says retCode 10001, retMsg params error",
    ),
    "mixed kinds": ("ETHUSDT-1m.json", json.dumps([[row[0], {}, *row[2:]] for row in made()]).encode(), "column open"),
    "a list of nothing": ("ETHUSDT-1m.json", b"[]", "holds no candles"),
    "an index that differs": (
        "ETHUSDT-1m.json",
        json.dumps({name: {str(n + (name == "low")): 1 for n in range(5)} for name in ["ts", *PRICES]}).encode(),
        "its columns have different rows, such as '0'",
    ),
    "a long list of columns": (
        "ETHUSDT-1m.csv",
        lines([], ",".join(f"column{number}" for number in range(5_000))),
        "lacks the columns open_time, open, high",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_file_that_cannot_be_exact_is_refused_in_one_line(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, body, message = REFUSED[kind]
    assert imported(name, body) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note: ")]
    assert line.startswith("threadx: error: ")
    assert message in line
    assert len(line) < 700
    assert not Path("s.duckdb").exists()


READ: dict[str, tuple[str, bytes, tuple[str, ...], Rows, str]] = {
    "times that agree": (
        "ETHUSDT-1m.csv",
        lines(
            [[row[0], *iso([row], "%Y-%m-%d %H:%M:%S")[0]] for row in made()], "unix,date,open,high,low,close,volume"
        ),
        (),
        made(),
        "",
    ),
    "a date beside a time": (
        "ETHUSDT-1m.csv",
        lines([[row[0], *iso([row], "%Y-%m-%d")[0]] for row in made()], "unix,date,open,high,low,close,volume"),
        (),
        made(),
        "",
    ),
    "a time that cannot be read beside one": (
        "ETHUSDT-1m.csv",
        lines(
            [[row[0], *iso([row], "%d %B, %I-%p")[0]] for row in made()], "unix,date,open,high,low,close,volume"
        ).replace(b"May,", b"May"),
        (),
        made(),
        "the column date was passed over",
    ),
    "the time that was said": (
        "ETHUSDT-1m.csv",
        lines([[row[0], row[0] - 3_600_000, *row[1:]] for row in made()], "time,ts,open,high,low,close,volume"),
        ("--map", "open_time=time"),
        made(),
        "",
    ),
    "four units": (
        "ETHUSDT-1m.csv",
        lines([[row[0] * 1000 ** (n % 4) // 1000, *row[1:]] for n, row in enumerate(made())]),
        (),
        made(),
        "",
    ),
    "a name of a mapping below other lines": (
        "ETHUSDT-1m.csv",
        b"made by hand\n" + lines(made(), "w,o,h,l,c,v,"[:-1]),
        ("--map", "open_time=w"),
        made(),
        "",
    ),
    "exact in scientific notation": (
        "ETHUSDT-1m.csv",
        lines([[f"{row[0]:.12e}", *row[1:]] for row in made()]),
        (),
        made(),
        "",
    ),
    "single precision that tells all": (
        "ETHUSDT-1m.parquet",
        parquet(_single()),
        (),
        made(),
        "were in single precision; read as the shortest decimals they are",
    ),
    "another symbol by its option": (
        "x.csv",
        lines([["ETH/BTC", *row] for row in made()], SYMBOLS),
        ("--symbol", "eth-usdt"),
        made(),
        "calls its candles ETHBTC; they were stored as ETHUSDT",
    ),
    "a symbol with an underscore by its option": (
        "ETH_USDT_SPOT.csv",
        lines(made()),
        ("--symbol", "ETH/USDT"),
        made(),
        "",
    ),
    "milliseconds of anybody's own": ("ETHUSDT-1m.csv", lines(LATE), (), LATE, ""),
    "microseconds of the archive": (
        f"{ARCHIVE}.csv",
        lines(twelve([[row[0] * 1000, *row[1:]] for row in LATE]), ""),
        (),
        LATE,
        "",
    ),
    "a row that is cut": ("ETHUSDT-1m.csv", lines(made()) + b"1683357120000,18", (), made(), "1 unreadable"),
    "a number that is none": ("ETHUSDT-1m.csv", lines(_changed(11, 2, "n/a")), (), made(11), "1 unreadable"),
    "trades that are no number": (
        "ETHUSDT-1m.csv",
        lines([[*row, "many" if n == 11 else 3] for n, row in enumerate(made())], "t,o,h,l,c,v,trades"),
        (),
        made(11),
        "1 unreadable",
    ),
    "one price higher than the highest": (
        "ETHUSDT-1m.csv",
        lines(_changed(11, 1, 9_999.0)),
        (),
        made(11),
        "1 impossible_price",
    ),
    "a nanosecond too late": (
        "ETHUSDT-1m.csv",
        lines([[row[0] * 10**6 + (n == 11), *row[1:]] for n, row in enumerate(made())]),
        (),
        made(11),
        "1 off_grid",
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_file_that_is_plain_is_read(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    name, body, options, rows, note = READ[kind]
    assert imported(name, body, *options) == 0, capsys.readouterr().err
    assert note in capsys.readouterr().err
    assert stored() == [("ETHUSDT", _at(row[0]), *row[1:]) for row in rows]


def test_texts_of_a_file_are_shown_without_their_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert imported("ETHUSDT-1m.csv", lines(_changed(11, 2, "\x1b[2J"))) == 0
    error = capsys.readouterr().err
    assert "\\x1b[2J" in error
    assert "\x1b" not in error


def test_symbol_spelled_in_two_ways_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[("eth/usdt", "ETH-USDT")[number % 2], *row] for number, row in enumerate(made())]
    assert imported("x.csv", lines(rows, SYMBOLS), "--symbol", "ETHUSDT") == 0
    assert "stored as" not in capsys.readouterr().err
    assert [row[0] for row in stored()] == ["ETHUSDT"] * 12


def test_symbols_of_a_column_are_told_apart_and_never_by_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [[symbol, *row] for row in made() for symbol in ("eth/usdt", "BTC-USDT", "ETHUSDT")]
    assert imported("both.csv", lines(rows, SYMBOLS), "--symbol", "ETHUSDT") == 1
    assert "holds 2 symbols (BTCUSDT, ETHUSDT), so --symbol cannot name one; leave it out" in capsys.readouterr().err
    assert imported("both.csv", lines(rows, SYMBOLS)) == 0
    assert [row[0] for row in stored()] == ["BTCUSDT"] * 12 + ["ETHUSDT"] * 12


@pytest.mark.parametrize(
    ("symbol", "message"),
    [
        ("BTC\nUSDT", r"'BTC\nUSDT' is no symbol; perhaps BTCUSDT is meant."),
        ("", "'' is no symbol; a symbol has letters and digits, such as BTCUSDC."),
        (" ", "' ' is no symbol; a symbol has letters and digits, such as BTCUSDC."),
        ("BTC USDT", "'BTC USDT' is no symbol; perhaps BTCUSDT is meant."),
        ("x" * 51, "is no symbol; a symbol has letters and digits, such as BTCUSDC."),
        ("BTC_USDT", "--symbol holds BTC_USDT, which only futures are called"),
    ],
)
def test_option_that_can_be_no_symbol_is_refused(symbol: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert imported("x.csv", lines(made()), "--symbol", symbol) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("threadx: error: ")
    assert message in line
    assert not Path("s.duckdb").exists()


def test_no_failure_of_one_file_takes_others_down(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importing.read_pages

    def read(path: Path, *options: Any) -> Any:
        if path.name == "BTCUSDT-1m.csv":
            raise ZeroDivisionError("first \x1b[2J line\nsecond")
        return real(path, *options)

    monkeypatch.setattr(importing, "read_pages", read)
    for name in ("BNBUSDT", "BTCUSDT", "ETHUSDT"):
        Path(f"{name}-1m.csv").write_bytes(lines(made()))
    files = ["BNBUSDT-1m.csv", "BTCUSDT-1m.csv", "ETHUSDT-1m.csv"]
    assert run(["--db", "s.duckdb", "import", *files]) == 1
    error = r"threadx: error: BTCUSDT-1m.csv could not be read (ZeroDivisionError: first \x1b[2J line)."
    assert error in capsys.readouterr().err.splitlines()
    assert {row[0] for row in stored()} == {"BNBUSDT", "ETHUSDT"}


def test_commit_that_fails_fails_every_file_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def append(store: Store, batches: Any) -> Any:
        raise StoreError("The disk is full.")

    monkeypatch.setattr("threadx_duck.files.importer.append_to_store", append)
    for name in ("BNBUSDT", "ETHUSDT"):
        Path(f"{name}-1m.csv").write_bytes(lines(made()))
    assert run(["--db", "s.duckdb", "import", "BNBUSDT-1m.csv", "ETHUSDT-1m.csv"]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("threadx: error: The disk is full.") == 2
    assert captured.out.count("failed") == 2


def test_another_store_is_held_to_the_same_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert imported("ETHUSDT-1m.csv", lines(made())) == 0
    with duckdb.connect("s.duckdb") as connection:
        connection.execute("update candles_1m set high = low / 2 where open_time = timestamp '2023-05-06 07:03'")
    assert run(["--db", "copy.duckdb", "import", "s.duckdb"]) == 0
    with duckdb.connect("copy.duckdb", read_only=True) as connection:
        assert connection.execute("select count(*) from candles_1m").fetchall() == [(11,)]
        assert connection.execute("select reason from rejected_rows").fetchall() == [("impossible_price",)]
    assert run(["--db", "copy.duckdb", "import", "s.duckdb", "--symbol", "BTCUSDT"]) == 1
    assert "s.duckdb names its symbols and columns itself; leave --symbol and --map out" in capsys.readouterr().err
