"""Verifying one symbol-month at 1h, after fetching the exchange's candles, against reading these hours."""

from __future__ import annotations

from datetime import UTC, timedelta

from common import START, Results, Row, connect, make_store, parser, settings_for, timed

from threadx_duck import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market
from threadx_duck.simulator.market import SymbolMarket


def main() -> None:
    """Measures, prints the table, writes the JSON."""
    chosen = parser(__doc__ or "", minutes=1e6, rounds=20).parse_args()
    results = Results("verify", vars(chosen))
    path = make_store(chosen.data, chosen.minutes)
    symbol = "BTCUSDC"
    month = min(chosen.minutes // 2 // 1440, 31)
    until = START + timedelta(days=month)
    with connect(path) as connection:
        candles = connection.sql(
            "from candles_1m where symbol = ? order by open_time", params=[symbol]
        ).to_arrow_table()
    market = Market({symbol: SymbolMarket(candles.drop_columns(["symbol", "request_id"]))})
    with (
        LoopbackExchange(market, now=(until + timedelta(days=400)).replace(tzinfo=UTC)) as exchange,
        IngestionManager(settings_for(path, base_url=exchange.url)) as manager,
    ):
        found = manager.verify([symbol], "1h", START, until)
        asked = len(exchange.requests)
        ours = min(timed(lambda: manager.verify([symbol], "1h", START, until)) for _ in range(chosen.rounds))
        assert len(exchange.requests) == asked
        assert not found.mismatches
    sql = f"from candles_1h where symbol = '{symbol}' and open_time >= '{START}' and open_time < '{until}'"
    with connect(path) as connection:
        view = min(timed(lambda: connection.sql(sql).to_arrow_table()) for _ in range(chosen.rounds))
    work = f"verify -t 1h, {month} days of one symbol, {found.compared} candles"
    results.add(Row(work, "view, open", ours * 1e3, view * 1e3, 10))
    results.finish(chosen.json)


if __name__ == "__main__":
    main()
