"""A loopback exchange that answers like the real one, for tests, demonstrations and measurements.

It serves made-up or recorded candles over HTTP on 127.0.0.1, by a clock that you can set::

    market = generate_market(start=datetime(2024, 1, 1, tzinfo=UTC), end=datetime(2024, 2, 1, tzinfo=UTC))
    with LoopbackExchange(market) as exchange:
        exchange.fail(503, times=2)
        requests.get(exchange.url + "/api/v3/klines", params={"symbol": "BTCUSDC", "interval": "1m"})

``python -m threadx_duck.simulator`` starts one from the command line.
"""

from threadx_duck.simulator.archive import Archive
from threadx_duck.simulator.exchange import LoopbackExchange, RequestLog
from threadx_duck.simulator.faults import Fault
from threadx_duck.simulator.generate import generate_market
from threadx_duck.simulator.market import Market, SymbolMarket, read_market
from threadx_duck.simulator.wire import Request

__all__ = [
    "Archive",
    "Fault",
    "LoopbackExchange",
    "Market",
    "Request",
    "RequestLog",
    "SymbolMarket",
    "generate_market",
    "read_market",
]
