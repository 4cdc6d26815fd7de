"""freqtrade's archive reader on another host: URL SYMBOL START END OUTPUT."""

import asyncio
import sys
from datetime import UTC, datetime

from freqtrade.enums import CandleType
from freqtrade.exchange import binance_public_data

url, symbol, start, end, output = sys.argv[1:]
official = binance_public_data.binance_vision_ohlcv_zip_url


def loopback_url(*arguments: object) -> str:
    """Returns the address of a file on the loopback exchange."""
    return official(*arguments).replace("https://data.binance.vision", url)


binance_public_data.binance_vision_ohlcv_zip_url = loopback_url
first, last = (int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000) for text in (start, end))
candles = asyncio.run(
    binance_public_data.download_archive_ohlcv(
        CandleType.SPOT, symbol, "1m", since_ms=first, until_ms=last, markets={symbol: {"id": symbol}}
    )
)
candles.reset_index(drop=True).to_feather(output, compression="lz4", compression_level=9)
sys.stdout.write(f"{len(candles)}\n")
