"""Writes the small inputs of the file cases: 40 made-up minutes of 2024-03-05."""

import datetime as dt, gzip, hashlib, json, os, pathlib, random, zipfile
import pyarrow as pa, pyarrow.feather as fe, pyarrow.parquet as pq

here = pathlib.Path(__file__).resolve().parent
r = random.Random(7)
T0 = 1709596800000
p = 63000.0
R = []
for i in range(40):
    o = round(p, 2)
    c = round(p + r.uniform(-20, 20), 2)
    h = round(max(o, c) + r.uniform(0.01, 9), 2)
    l = round(min(o, c) - r.uniform(0.01, 9), 2)
    v = round(r.uniform(0.5, 40), 5)
    q = round(v * (h + l) / 2, 8)
    R.append(
        [
            T0 + i * 60000,
            o,
            h,
            l,
            c,
            v,
            T0 + i * 60000 + 59999,
            q,
            r.randint(5, 900),
            round(v * 0.4, 5),
            round(q * 0.4, 8),
            0,
        ]
    )
    p = c
six = [x[:6] for x in R]
C = ["date", "open", "high", "low", "close", "volume"]
line = lambda x: ",".join(map(str, x))
body = lambda rows: "\n".join(map(line, rows)) + "\n"
iso = lambda ms, f="%Y-%m-%d %H:%M:%S", off=0: dt.datetime.fromtimestamp(
    ms / 1000 + off * 3600, dt.timezone.utc
).strftime(f)


def w(name, text, enc="utf-8"):
    f = here / name
    f.parent.mkdir(parents=True, exist_ok=True)
    f.write_bytes(text if isinstance(text, bytes) else text.encode(enc))


def z(name, *members):
    f = here / name
    f.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(f, "w", zipfile.ZIP_DEFLATED) as a:
        for n, t in members:
            a.writestr(zipfile.ZipInfo(n, (2026, 1, 1, 0, 0, 0)), t)
    return f


H = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
# futures
f = z(
    "futures-zip/data/futures/um/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-03-05.zip",
    ("BTCUSDT-1m-2024-03-05.csv", H + body(R)),
)
w(
    f"futures-zip/data/futures/um/daily/klines/BTCUSDT/1m/{f.name}.CHECKSUM",
    hashlib.sha256(f.read_bytes()).hexdigest() + f"  {f.name}\n",
)
# pandas' DataFrame.to_json(): {column: {index: value}}
cols = {c: {str(i): x[k] for i, x in enumerate(six)} for k, c in enumerate(["open_time", *C[1:]])}
w("pandas-json/default.json", json.dumps({**cols, "symbol": {str(i): "BTCUSDT" for i in range(40)}}))
w(
    "pandas-json/time_index.json",
    json.dumps({c: {str(x[0]): x[k] for x in six} for k, c in enumerate(["open_time", *C[1:]])}),
)
w("pandas-json/orient_index.json", json.dumps({str(x[0]): dict(zip(C, x)) for x in six}))
# crashes
w("crash/good.csv", line(C) + "\n" + body(six))
w("crash/column_twice.csv", line(C + ["volume"]) + "\n" + body([x + [x[5]] for x in six]))
w("crash/cp1252_header.csv", "däte,open,high,low,close,volume\n" + body(six), "cp1252")
w("crash/gbk_header.csv", "时间,开盘,最高,最低,收盘,成交量\n" + body(six), "gbk")
t = pa.table(
    {
        "open_time": pa.array([x[0] for x in six], pa.timestamp("ms")),
        **{c: [x[k] for x in six] for k, c in enumerate(C[1:], 1)},
        "symbol": pa.array(["BTCUSDT"] * 40, pa.string_view()),
    }
)
fe.write_feather(t, here / "crash/as_polars_write_ipc.feather")
pq.write_table(t, here / "crash/as_polars_1.38_write_parquet.parquet")
# symbols
cdd = [f"{x[0]},{iso(x[0])},BTC/USDT,{line(x[1:6])},{x[7]},{x[8]}" for x in reversed(R)]
head = "unix,date,symbol,open,high,low,close,Volume BTC,Volume USDT,tradecount"
w("symbol-names/Binance_BTCUSDT_minute.csv", head + "\n" + "\n".join(cdd) + "\n")
w("symbol-names/BTC-USDT-1m.csv", "timestamp,open,high,low,close,volume\n" + body(six))
w("symbol-names/btcusdt-1m.csv", "timestamp,open,high,low,close,volume\n" + body(six))
# float32
pq.write_table(
    pa.table(
        {
            "open_time": pa.array([x[0] for x in six], pa.timestamp("ms")),
            **{c: pa.array([x[k] for x in six]).cast(pa.float32()) for k, c in enumerate(C[1:], 1)},
        }
    ),
    here / "float32/BTC-USDT.parquet",
)
# all rows rejected
w("all-rejected-ok/numbers_12.json", json.dumps(R))
w("all-rejected-ok/kucoin_order.json", json.dumps([[x[0], x[1], x[4], x[2], x[3], x[5]] for x in R]))
w(
    "all-rejected-ok/coinbase_order.json",
    json.dumps([[x[0] // 1000, x[3], x[2], x[1], x[4], x[5]] for x in reversed(R)]),
)
# the first line
z("header-skip/bom_no_header.zip", ("x.csv", "\ufeff" + body(R)))
w(
    "header-skip/other_order_12.csv",
    "open_time,open,high,low,close,volume,quote_volume,close_time,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
    + body([x[:6] + [x[7], x[6]] + x[8:] for x in R]),
)
# units: seconds to 2024-12-31, microseconds after
T1 = 1735603200
w(
    "mixed-units/s_then_us.csv",
    "date,open,high,low,close,volume\n"
    + body(
        [[T1 + i * 60, 1, 1.2, 0.9, 1.1, 5] for i in range(1440)]
        + [[(T1 + 86400 + i * 60) * 10**6, 1, 1.2, 0.9, 1.1, 5] for i in range(1500)]
    ),
)
w(
    "mixed-units/s_then_ms.csv",
    "date,open,high,low,close,volume\n"
    + body(
        [[T1 + i * 60, 1, 1.2, 0.9, 1.1, 5] for i in range(40)]
        + [[(T1 + 2400 + i * 60) * 10**3, 1, 1.2, 0.9, 1.1, 5] for i in range(40)]
    ),
)
w(
    "two-times/local_date_beside_epoch.csv",
    "timestamp,date,open,high,low,close,volume\n"
    + "\n".join(f"{x[0]},{iso(x[0], off=2)},{line(x[1:6])}" for x in six)
    + "\n",
)
# messages
w("messages/six_no_header.csv", body(six))
w("messages/cdd_no_header.csv", "\n".join(cdd) + "\n")
w("messages/cdd_with_url.csv", "https://www.CryptoDataDownload.com\n" + head + "\n" + "\n".join(cdd) + "\n")
w("messages/iso_no_header.csv", "\n".join(f"{iso(x[0])},{line(x[1:6])}" for x in six) + "\n")
w("messages/archive.csv.gz", gzip.compress(body(R).encode(), mtime=0))
w("messages/spaces_in_header.csv", ", ".join(C) + "\n" + "\n".join(", ".join(map(str, x)) for x in six) + "\n")
w("messages/excel.csv", line(C) + "\n" + "\n".join(f"{x[0]:.5E},{line(x[1:])}" for x in six) + "\n")
w("messages/footer.csv", line(C) + "\n" + body(six) + "Total,,,,,\n")
w(
    "messages/wrapped.json",
    json.dumps(
        {
            "symbol": "BTCUSDT",
            "interval": "1m",
            "count": 40,
            "candles": [dict(zip(["timestamp", *C[1:]], x)) for x in six],
        }
    ),
)
w("messages/error_body.json", '{"code":-1121,"msg":"Invalid symbol."}')
w("messages/last_row_again.csv", line(C) + "\n" + body(six + [six[-1][:5] + [six[-1][5] + 1]]))
w("messages/quoted.csv", "\n".join(",".join(f'"{c}"' for c in x) for x in R) + "\n")
z("zips/macos.zip", ("BTCUSDT-1m-2024-03-05.csv", body(R)), ("__MACOSX/._BTCUSDT-1m-2024-03-05.csv", "\0\5\x16\7"))
z("zips/with_folder.zip", ("data/", ""), ("data/BTCUSDT-1m-2024-03-05.csv", body(R)))
w("toml/bom.toml", b'\xef\xbb\xbf[data]\nbase_data_path = "data"\n')
w("toml/backslash.toml", '[data]\nbase_data_path = "C:\\Users\\me\\candles"\n')
