"""Fixtures that several test modules share."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from tests.support import display
from tests.support.browser import Browser, find_program, launched
from tests.support.recordings import OPTION, SMALL, Recordings
from threadx_duck.candles.klines import CANDLE_SCHEMA
from threadx_duck.cli.main import run
from threadx_duck.config import Settings, StoreSettings, get_settings
from threadx_duck.simulator import LoopbackExchange, Market, generate_market
from threadx_duck.storage.sqlfiles import list_definitions
from threadx_duck.storage.store import Store

# The market of the exchange fixture: three days, by a clock that stands at their end.
START, END = datetime(2024, 1, 1), datetime(2024, 1, 4)
OUTAGE = (datetime(2024, 1, 1, 5), datetime(2024, 1, 1, 7))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        OPTION, type=Path, metavar="DIR", help="Also test on the larger set of the exchange's candles in this folder."
    )


@pytest.fixture(scope="session", params=["small", "whole"])
def recordings(request: pytest.FixtureRequest) -> Recordings:
    """The small set of real candles in the repository; then the larger one, if it is named."""
    if request.param == "small":
        return Recordings(SMALL, is_whole=False)
    folder = request.config.getoption(OPTION)
    if folder is None:
        pytest.skip(f"only the small set of real candles was tried; {OPTION} DIR names a larger one")
    # From where pytest was started: every test runs in a folder of its own.
    made = Recordings(request.config.invocation_params.dir / folder, is_whole=True)
    if not made.candles.is_file():
        pytest.fail(f"{OPTION} {folder} holds no {made.candles.name}")
    return made


def pytest_report_header() -> str:
    return f"duckdb {duckdb.__version__}"


def define_all(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes every table, macro and view of ``sql/`` through a plain connection, as any client may."""
    for file in list_definitions():
        connection.execute(file.statement)


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in memory with every table, macro and view of ``sql/``."""
    with duckdb.connect() as connection:
        define_all(connection)
        yield connection


@pytest.fixture(scope="module")
def shared_database() -> Iterator[duckdb.DuckDBPyConnection]:
    """One such database for all examples of a property, which replaces its rows each time."""
    with duckdb.connect() as connection:
        define_all(connection)
        yield connection


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuses every connection that leaves this machine."""
    for owner, name, position in (
        (socket.socket, "connect", 1),
        (socket.socket, "connect_ex", 1),
        (socket, "getaddrinfo", 0),
    ):
        monkeypatch.setattr(owner, name, _guarded(getattr(owner, name), position))


def _guarded(call: Callable[..., Any], position: int) -> Callable[..., Any]:
    def guard(*arguments: Any, **options: Any) -> Any:
        address = arguments[position]
        host = address[0] if isinstance(address, tuple) else address
        if not str(host).startswith(("127.", "::1", "localhost", "/")):
            pytest.fail(f"a test tried to reach {address}")
        return call(*arguments, **options)

    return guard


@pytest.fixture(autouse=True, scope="session")
def interrupts() -> None:
    """Ctrl-C works as at a terminal, also where a shell has started the tests in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test starts in a folder of its own, so that nobody's ``paths.toml`` is read."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def closed_logs() -> Iterator[None]:
    """Closes the log files that a command line has opened."""
    yield
    for name in ("threadx_duck", "threadx_duck.legacy_adapter", "threadx_duck.data_manager"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.NOTSET)
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
            handler.close()


@pytest.fixture(scope="session")
def made_market() -> Market:
    """An outage of all, quiet minutes of one, a listing mid-way of another. Do not change it: see `exchange`."""
    return generate_market(
        ["BTCUSDC", "ETHUSDC", "SOLUSDC"],
        start=START,
        end=END,
        outages=[OUTAGE],
        quiet={"ETHUSDC": 0.3},
        listings={"SOLUSDC": datetime(2024, 1, 2, 12)},
    )


@pytest.fixture
def exchange(made_market: Market) -> Iterator[LoopbackExchange]:
    """A loopback exchange of its own for every test."""
    with LoopbackExchange(Market(made_market), now=END.replace(tzinfo=UTC)) as serving:
        yield serving


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where the store of `settings` lies; nothing is there yet."""
    return tmp_path / "data" / "threadx.duckdb"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without candles, to copy: making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("store") / "empty.duckdb"
    with Store(StoreSettings(database=path)).writing():
        pass
    return path


@pytest.fixture
def settings(tmp_path: Path, exchange: LoopbackExchange) -> Settings:
    """Settings of the test's own ``paths.toml``: the loopback exchange, and no patience."""
    (tmp_path / "paths.toml").write_text(
        "[data.store]\nlock_timeout_seconds = 0.2\n"
        f'[data.api]\nbase_url = "{exchange.url}"\nretry_delay = 0.0\ntimeout_seconds = 20.0\n'
        "[data.archive]\nenabled = false\n"
    )
    return get_settings()


Invoke = Callable[..., Result]


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Runs a command line in this process just as a shell would: ``invoke("ingest", "BTCUSDC")``.

    The result has its exit code, what it wrote to stdout and stderr, and no exception.
    """

    @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def shell(arguments: tuple[str, ...]) -> None:
        raise SystemExit(run(list(arguments)))

    return lambda *arguments: CliRunner().invoke(shell, ["--", *map(str, arguments)])


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    """A virtual screen for all windows: Tk ends a process whose earlier screen went away."""
    if not display.is_there():
        pytest.skip("no Xvfb to show windows on")
    with display.virtual_screen() as name:
        yield name


@pytest.fixture
def browser() -> Iterator[Browser]:
    """A headless browser; the test is skipped on a machine without one."""
    program = find_program()
    if program is None:
        pytest.skip("no Chromium on this machine")
    with launched(program) as started:
        yield started


@pytest.fixture
def make_candles() -> Callable[..., pa.Table]:
    """Makes plausible candles: ``make_candles(symbol, start, minutes, skip=(), **columns)``."""

    def make(
        symbol: str = "BTCUSDC", start: datetime = START, minutes: int = 3, skip: Sequence[int] = (), **columns: Any
    ) -> pa.Table:
        usual = {"symbol": symbol, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, "volume": 2.0}
        usual |= {"quote_volume": 20.0, "trade_count": 5, "taker_buy_volume": 1.0, "taker_buy_quote_volume": 10.0}
        times = [start + timedelta(minutes=number) for number in range(minutes) if number not in skip]
        values = {name: pa.repeat(pa.scalar(value), len(times)) for name, value in (usual | columns).items()}
        return pa.table({"open_time": times, **values}).select(CANDLE_SCHEMA.names).cast(CANDLE_SCHEMA)

    return make
