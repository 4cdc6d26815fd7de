"""The share of the request budget that an ingest uses if nothing else limits it, by arrivals at the exchange."""

from __future__ import annotations

import tempfile
from datetime import UTC, timedelta
from pathlib import Path

from common import MINUTE, START, Results, Row, make_minutes, note, parser, settings_for

from threadx_duck import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market
from threadx_duck.simulator.market import SymbolMarket


def main() -> None:
    """Measures, prints the table, writes the JSON."""
    options = parser(__doc__ or "", rounds=1)
    options.add_argument(
        "--window", type=float, default=20.0, help="seconds of the window (20; the default setting is 60)"
    )
    options.add_argument("--calls", type=int, default=200, help="calls allowed in it (200)")
    options.add_argument("--windows", type=int, default=3, help="how many windows to fill with calls (3)")
    chosen = options.parse_args()
    results = Results("budget", vars(chosen))
    minutes = chosen.calls * chosen.windows * 1000
    end = START + minutes * MINUTE
    market = Market({"BTCUSDC": SymbolMarket(make_minutes("BTCUSDC", minutes, whole=True))})
    with (
        tempfile.TemporaryDirectory() as folder,
        LoopbackExchange(market, now=(end + timedelta(days=2)).replace(tzinfo=UTC), weight_limit=1_000_000) as exchange,
    ):
        settings = settings_for(
            Path(folder) / "budget.duckdb",
            base_url=exchange.url,
            rate_limit_calls=chosen.calls,
            rate_limit_window=chosen.window,
        )
        with IngestionManager(settings) as manager:
            manager.update_assets_batch(["BTCUSDC"], START, end, source="rest")
        arrived = sorted(request.sent_at.timestamp() for request in exchange.requests.klines)
    note(f"{len(arrived)} calls in {arrived[-1] - arrived[0]:.1f} s")
    # A call and the one that is a full budget later must be a window apart: closer is too much, farther wastes budget.
    apart = [later - earlier for earlier, later in zip(arrived, arrived[chosen.calls :], strict=False)]
    used = chosen.window * len(apart) / sum(apart)
    work = f"{chosen.calls} calls in {chosen.window:g} s"
    results.add(Row(f"{work}, used", "the budget", used * 100, 100, 0.95, unit="%", at_least=True))
    most = max(sum(1 for other in arrived if 0 <= other - one < chosen.window) for one in arrived)
    results.add(Row(f"{work}, most in any window", "the budget", most, chosen.calls, 1.0, unit="calls"))
    results.finish(chosen.json)


if __name__ == "__main__":
    main()
