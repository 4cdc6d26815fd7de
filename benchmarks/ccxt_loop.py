"""ccxt's REST loop on another host: URL SYMBOL START END OUTPUT."""

import sys
from datetime import UTC, datetime

import ccxt
import pandas as pd

url, symbol, start, end, output = sys.argv[1:]
exchange = ccxt.binance({"enableRateLimit": False, "options": {"fetchMarkets": {"types": ["spot"]}}})
exchange.has["fetchCurrencies"] = False
exchange.urls["api"]["public"] = f"{url}/api/v3"
exchange.load_markets()
pair = exchange.markets_by_id[symbol][0]["symbol"]
since, last = (int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000) for text in (start, end))
rows: list[list[float]] = []
while since < last:
    page = exchange.fetch_ohlcv(pair, "1m", since, 1000)
    if not page:
        break
    rows += [row for row in page if row[0] < last]
    since = page[-1][0] + 1
candles = pd.DataFrame(rows, columns=["date", "open", "high", "low", "close", "volume"])
candles.to_feather(output, compression="lz4")
sys.stdout.write(f"{len(candles)}\n")
