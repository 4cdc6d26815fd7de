"""Serves a loopback exchange until it is stopped; prints its URL when it is ready."""

from __future__ import annotations

import argparse
import signal
import sys
from datetime import UTC, datetime, timedelta
from threading import Event

from threadx_duck.simulator.exchange import LoopbackExchange
from threadx_duck.simulator.generate import generate_market
from threadx_duck.simulator.market import Market, read_market


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    options = _parser().parse_args(arguments)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    exchange = LoopbackExchange(
        _market(options),
        now=options.now,
        speed=options.speed,
        latency=options.latency,
        weight_limit=options.weight_limit,
        port=options.port,
    )
    with exchange:
        if options.prepare:
            exchange.prepare()
        if options.prepare_archive:
            exchange.archive.prepare()
        sys.stdout.write(exchange.url + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


def _market(options: argparse.Namespace) -> Market:
    if options.parquet:
        return read_market(options.parquet, options.native)
    end = options.end or datetime.now(UTC).replace(second=0, microsecond=0)
    return generate_market(
        options.symbols.split(","), start=end - timedelta(days=options.days), end=end, seed=options.seed
    )


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m threadx_duck.simulator",
        description="Serve candles on 127.0.0.1 as the exchange does. All times are UTC.",
    )
    parser.add_argument("--parquet", help="file of recorded 1m candles; by default the candles are made up")
    parser.add_argument("--native", help="file of recorded candles of other intervals")
    parser.add_argument("--symbols", default="BTCUSDC,ETHUSDC,SOLUSDC", help="symbols to make up, with commas between")
    parser.add_argument("--days", type=float, default=30.0, help="number of days to make up")
    parser.add_argument("--end", type=_time, help="end of the last candle; by default the current minute")
    parser.add_argument("--seed", type=int, default=1, help="seed of the made-up candles")
    parser.add_argument("--now", type=_time, help="time of the clock at the start; by default the end of the candles")
    parser.add_argument("--speed", type=float, default=0.0, help="clock speed as a multiple of real time; 0 freezes it")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--weight-limit", type=int, default=6_000, help="request weight per minute")
    parser.add_argument("--port", type=int, default=0, help="port; by default any free one")
    parser.add_argument("--prepare", action="store_true", help="render every 1m row before serving")
    parser.add_argument("--prepare-archive", action="store_true", help="build every 1m file before serving")
    return parser


if __name__ == "__main__":
    sys.exit(main())
