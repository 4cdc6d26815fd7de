"""Real candles of the exchange through the whole tool: over HTTP into the store, and out as its own candles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.support.recordings import Recordings
from threadx_duck.cli.main import run
from threadx_duck.simulator import LoopbackExchange, read_market

# Buckets with every minute present, and how many of them equal the exchange's own in all four prices. The
# few others of the larger set were restated by the exchange between the two recordings.
SMALL = {
    "5m": {
        "ADABTC": (489, 489),
        "BTCUSDT": (1049, 1049),
        "DOGEUSDT": (761, 761),
        "ETHUSDT": (761, 761),
        "NXSBTC": (489, 489),
        "SUSHIBTC": (576, 576),
        "WAVESBTC": (576, 576),
    },
    "15m": {"BTCUSDT": (96, 96), "SUSHIBTC": (192, 192), "WAVESBTC": (192, 192)},
    "1h": {"BTCUSDT": (86, 86), "DOGEUSDT": (62, 62), "ETHUSDT": (62, 62), "SUSHIBTC": (48, 48), "WAVESBTC": (48, 48)},
    "4h": {"BTCUSDT": (19, 19), "DOGEUSDT": (13, 13), "ETHUSDT": (13, 13)},
    "1d": {"BTCUSDT": (1, 1)},
}
WHOLE = {
    "5m": {
        "ADABTC": (37_300, 37_295),
        "BTCUSDT": (53_628, 53_618),
        "DOGEUSDT": (43_201, 43_194),
        "ETHUSDT": (34_586, 34_580),
        "NXSBTC": (19_967, 19_961),
        "SUSHIBTC": (8_638, 8_638),
        "WAVESBTC": (18_889, 18_889),
    },
    "15m": {
        "ADABTC": (2_878, 2_878),
        "BTCUSDT": (12_005, 12_005),
        "DOGEUSDT": (3_179, 3_179),
        "ETHUSDT": (2_964, 2_964),
        "SUSHIBTC": (2_878, 2_878),
        "WAVESBTC": (2_878, 2_878),
    },
    "1h": {
        "ADABTC": (718, 718),
        "BTCUSDT": (4_595, 4_595),
        "DOGEUSDT": (3_597, 3_594),
        "ETHUSDT": (2_880, 2_879),
        "SUSHIBTC": (718, 718),
        "WAVESBTC": (718, 718),
    },
    "4h": {"BTCUSDT": (1_144, 1_144), "DOGEUSDT": (894, 894), "ETHUSDT": (717, 717)},
    "1d": {"BTCUSDT": (187, 187), "DOGEUSDT": (144, 144), "ETHUSDT": (116, 116)},
}

COMPARE = """
    select ours.symbol, count(*), count(*) filter (
        ours.open = theirs.open and ours.high = theirs.high and ours.low = theirs.low and ours.close = theirs.close
    )
    from candles_{timeframe} as ours
    inner join read_parquet('{native}') as theirs
        on ours.symbol = theirs.symbol and ours.open_time = theirs.open_time and theirs.timeframe = '{timeframe}'
    where ours.is_complete
    group by ours.symbol
    order by ours.symbol
"""


@pytest.fixture
def store(tmp_path: Path, recordings: Recordings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store of all seven symbols, ingested by the command line over HTTP."""
    market = read_market(recordings.candles)
    with LoopbackExchange(market) as exchange:
        (tmp_path / "own.toml").write_text(
            f'[data.store]\ndatabase = "real.duckdb"\n[data.api]\nbase_url = "{exchange.url}"\n'
            "rate_limit_calls = 100000\n[data.archive]\nenabled = false\n"
            '[logging]\ndirectory = "logs"\n'
        )
        assert run(["--quiet", "--config", str(tmp_path / "own.toml"), "ingest", *market]) == 0
    with duckdb.connect(str(tmp_path / "real.duckdb"), read_only=True) as connection:
        yield connection


# One test, so that the store is made once whatever the number of workers.
def test_real_candles_come_out_as_the_exchanges_own(store: duckdb.DuckDBPyConnection, recordings: Recordings) -> None:
    names = "symbol, open_time, open, high, low, close, volume"
    recorded = f"select {names} from read_parquet('{recordings.candles}')"
    stored = f"select {names} from candles_1m"
    minutes = recordings.expect(small=23_510, whole=1_089_123)
    assert store.execute("select count(*) from candles_1m").fetchall() == [(minutes,)]
    assert store.execute(f"({recorded}) except ({stored})").fetchall() == []
    assert store.execute("select count(*) from rejected_rows").fetchall() == [(0,)]
    for timeframe, expected in recordings.expect(small=SMALL, whole=WHOLE).items():
        rows = store.execute(COMPARE.format(timeframe=timeframe, native=recordings.natives)).fetchall()
        assert {symbol: (buckets, equal) for symbol, buckets, equal in rows} == expected, timeframe
