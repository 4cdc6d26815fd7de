"""Everything that can go wrong with the exchange, over REST, monthly and daily files.

Each fault ends in exact rows or in a clear failure of just the symbol that it struck; never in wrong rows.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import pytest

from threadx_duck.audit.checks import run_checks
from threadx_duck.config import Settings, get_settings
from threadx_duck.download.results import SymbolResult
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market, Request, generate_market
from threadx_duck.storage.store import Store

pytestmark = pytest.mark.slow

STRUCK, OTHER = "BTCUSDC", "ETHUSDC"
START = datetime(2023, 12, 25, tzinfo=UTC)
NOW = datetime(2024, 2, 4, 12, tzinfo=UTC)

# What is asked of each source: two days over REST or as daily files, January as one file.
RANGES = {
    "rest": ("2024-02-01", "2024-02-02"),
    "daily": ("2024-02-01", "2024-02-02"),
    "monthly": ("2024-01-01", "2024-01-31"),
}
DATES = {"daily": "2024-02-01", "monthly": "2024-01"}


@dataclass(frozen=True)
class Case:
    """A fault: how it strikes answers of any kind, or the lines of a CSV file; what it ends in.

    ``once`` is what becomes of the symbol if it strikes one answer, ``always`` if it strikes all; an ``auto``
    ingest goes on over REST where only files are struck.
    """

    kind: Any
    details: dict[str, Any] = field(default_factory=dict)
    csv: Callable[[list[bytes]], list[bytes]] | None = None
    once: str = "ok"
    always: str = "failed"
    stops_run: bool = False


def _changed(place: int, change: Callable[[list[bytes]], list[bytes]]) -> Callable[[list[bytes]], list[bytes]]:
    """Changes the cells of one line of a CSV file."""

    def apply(lines: list[bytes]) -> list[bytes]:
        return [*lines[:place], b",".join(change(lines[place].split(b","))), *lines[place + 1 :]]

    return apply


def _close(value: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return _changed(700, lambda cells: [*cells[:4], value, *cells[5:]])


def _moved(lines: list[bytes]) -> list[bytes]:
    """The last row a year later, with its order kept, so that only the file's period tells."""
    return _changed(len(lines) - 2, lambda cells: [str(int(cells[0]) + 366 * 86_400_000).encode(), *cells[1:]])(lines)


CASES = {
    "502": Case(502),
    "dropped": Case("drop"),
    "stalled": Case("stall", {"seconds": 30.0}),
    "trickle": Case("trickle", {"bytes": 16, "seconds": 0.05}),
    "truncated": Case("truncate"),
    "cut_body": Case("cut_body"),
    "html_200": Case("html_200"),
    "duplicate_rows": Case("duplicate_rows", csv=lambda lines: [*lines[:700], lines[699], *lines[700:]]),
    "unordered_rows": Case("unordered_rows", csv=lambda lines: [*lines[1:700], lines[0], *lines[700:]]),
    "rows_outside": Case("rows_outside_window", csv=_moved),
    "null": Case("null_values", csv=_close(b""), always="ok"),
    "text": Case("text_values", csv=_close(b"not a number"), always="ok"),
    "extra_columns": Case("extra_columns", csv=lambda lines: [line and line + b",0" for line in lines], always="ok"),
    "429_storm": Case(429, {"retry_after": 0}),
    "418": Case(418, {"retry_after": 1}, once="failed", stops_run=True),
    "451": Case(451, once="failed", stops_run=True),
    "clock_an_hour_ahead": Case("wrong_date", {"offset": timedelta(hours=1)}, always="ok"),
    "clock_an_hour_behind": Case("wrong_date", {"offset": timedelta(hours=-1)}, always="ok"),
}


@pytest.fixture(scope="module")
def market() -> Market:
    return generate_market([STRUCK, OTHER], start=START, end=NOW, quiet={OTHER: 0.2})


@pytest.fixture(scope="module")
def truth(market: Market, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The candles as the exchange has them, in a database of their own."""
    path = tmp_path_factory.mktemp("truth") / "truth.duckdb"
    with duckdb.connect(str(path)) as connection:
        for symbol in (STRUCK, OTHER):
            candles = market[symbol].candles  # noqa: F841 - read by the statement
            connection.execute(
                f"{'create table truth as' if symbol == STRUCK else 'insert into truth'} "
                f"select '{symbol}' as symbol, open_time, open, high, low, close, volume, quote_volume, trade_count, "
                "taker_buy_volume, taker_buy_quote_volume from candles"
            )
    return path


@pytest.fixture(scope="module")
def serving(market: Market) -> Iterator[LoopbackExchange]:
    with LoopbackExchange(Market(market), now=NOW) as exchange:
        exchange.prepare()
        exchange.archive.prepare()
        yield exchange


@pytest.fixture
def exchange(serving: LoopbackExchange) -> Iterator[LoopbackExchange]:
    """The exchange of the module, as good as new: its files take long to make."""
    yield serving
    serving.clear_faults()
    serving.requests.clear()
    serving.archive._edits.clear()


@pytest.fixture
def settings(tmp_path: Path, exchange: LoopbackExchange) -> Settings:
    (tmp_path / "paths.toml").write_text(
        f'[data.api]\nbase_url = "{exchange.url}"\nmax_retries = 1\nretry_delay = 0.0\ntimeout_seconds = 2.0\n'
        f'[data.archive]\nbase_url = "{exchange.url}"\n'
    )
    return get_settings()


def _ingest(settings: Settings, source: str, chosen: str | None = None) -> dict[str, SymbolResult]:
    with IngestionManager(settings) as manager:
        return manager.update_assets_batch(
            [STRUCK, OTHER], *RANGES[source], source=chosen or ("rest" if source == "rest" else "archive")
        )


def _compare(settings: Settings, truth: Path, source: str) -> dict[str, tuple[int, int]]:
    """Of each symbol: how many candles are stored that the exchange does not have so, and how many are missing."""
    if not settings.store.database.exists():
        return dict.fromkeys((STRUCK, OTHER), (0, 1))
    first, last = (f"{date}" for date in RANGES[source])
    with duckdb.connect(str(settings.store.database), read_only=True) as connection:
        connection.execute(f"attach '{truth}' as truth (read_only)")
        counts = connection.execute(
            f"""
            with stored as (select * exclude (request_id) from candles_1m),
            wanted as (
                from truth.truth where open_time >= '{first}' and open_time < date '{last}' + interval 1 day
            ),
            wrong as (from stored except all from truth.truth),
            missing as (from wanted except all from stored)
            select symbol, (select count(*) from wrong where wrong.symbol = listed.symbol),
                (select count(*) from missing where missing.symbol = listed.symbol)
            from (select distinct symbol from truth.truth) as listed
            """
        ).fetchall()
    return {symbol: (wrong, missing) for symbol, wrong, missing in counts}


def _strike(exchange: LoopbackExchange, case: Case, source: str, times: int | None) -> None:
    if source != "rest" and case.csv is not None:
        change = case.csv
        exchange.archive.edit(source, STRUCK, DATES[source], csv=lambda text: b"\n".join(change(text.split(b"\n"))))  # type: ignore[arg-type]
        return
    if source == "rest":
        exchange.fail(case.kind, times=times, match=_is_klines, **case.details)
    else:
        exchange.fail(case.kind, times=times, match=_is_zip, **case.details)


def _is_klines(request: Request) -> bool:
    return request.path == "/api/v3/klines" and request.symbol == STRUCK


def _is_zip(request: Request) -> bool:
    return request.path.endswith(".zip") and f"/{STRUCK}/" in request.path


def _require_true_store(settings: Settings) -> None:
    """No check finds anything, but for the minutes whose rows were rejected: these are to be seen."""
    if settings.store.database.exists():
        found = {finding.name for finding in run_checks(Store(settings.store)) if finding.rows.num_rows}
        with duckdb.connect(str(settings.store.database), read_only=True) as connection:
            rejected = connection.execute("select count(*) from rejected_rows").fetchall()[0][0]
        assert found <= ({"unexplained_gap"} if rejected else set())


@pytest.mark.parametrize("source", list(RANGES))
@pytest.mark.parametrize("name", list(CASES))
def test_fault_that_strikes_once_ends_in_exact_rows_or_a_clear_failure(
    settings: Settings, exchange: LoopbackExchange, truth: Path, name: str, source: str
) -> None:
    case = CASES[name]
    if source != "rest" and case.csv is not None:
        pytest.skip("what is wrong in a file stays wrong in it")
    _strike(exchange, case, source, 1)
    results = _ingest(settings, source)
    compared = _compare(settings, truth, source)
    assert {wrong for wrong, _ in compared.values()} == {0}
    if not case.stops_run:
        assert results[STRUCK].status == case.once, results[STRUCK].error
        assert (results[OTHER].status, compared[OTHER][1]) == ("ok", 0), results[OTHER].error
    if results[STRUCK].status == "ok":
        assert (compared[STRUCK][1], results[STRUCK].rows_rejected) == (0, 0)
    else:
        assert results[STRUCK].error
    _require_true_store(settings)
    exchange.clear_faults()
    again = _ingest(settings, source)
    assert {result.error for result in again.values()} == {None}
    assert _compare(settings, truth, source) == {STRUCK: (0, 0), OTHER: (0, 0)}


# What takes its time takes it for each of a month's daily files; one kind of file is enough.
SLOW = {("stalled", "monthly"), ("trickle", "monthly")}


@pytest.mark.parametrize(("name", "source"), [pair for pair in product(CASES, RANGES) if pair not in SLOW])
def test_fault_that_lasts_never_stores_wrong_rows_and_fails_only_its_symbol(
    settings: Settings, exchange: LoopbackExchange, truth: Path, name: str, source: str
) -> None:
    case = CASES[name]
    _strike(exchange, case, source, None)
    results = _ingest(settings, source)
    compared = _compare(settings, truth, source)
    assert {wrong for wrong, _ in compared.values()} == {0}
    result = results[STRUCK]
    if source == "rest" or case.csv is None:
        assert result.status == case.always, result.error
    if result.status == "ok":
        assert compared[STRUCK][1] <= result.rows_rejected
    else:
        assert result.error
        assert "\n" not in result.error
    if not case.stops_run:
        assert (results[OTHER].status, compared[OTHER][1]) == ("ok", 0), results[OTHER].error
    _require_true_store(settings)


@pytest.mark.parametrize(("name", "source"), [pair for pair in product(CASES, DATES) if pair not in SLOW])
def test_fault_of_files_is_made_good_over_rest(
    settings: Settings, exchange: LoopbackExchange, truth: Path, name: str, source: str
) -> None:
    _strike(exchange, CASES[name], source, None)
    results = _ingest(settings, source, chosen="auto")
    assert {result.error for result in results.values()} == {None}
    assert _compare(settings, truth, source) == {STRUCK: (0, 0), OTHER: (0, 0)}
    _require_true_store(settings)


def test_another_symbols_candles_over_rest_are_noticed_by_their_price(
    settings: Settings, exchange: LoopbackExchange, truth: Path
) -> None:
    for skipped in range(3):
        exchange.requests.clear()

        def is_turn(request: Request, turn: int = skipped) -> bool:
            start = min(int(asked.params["startTime"]) for asked in exchange.requests.klines if asked.symbol == STRUCK)
            return _is_klines(request) and int(request.params["startTime"]) == start + turn * 60_000_000

        exchange.fail("wrong_symbol", times=1, match=is_turn, symbol=OTHER)
        with IngestionManager(settings) as manager:
            manager.update_assets_batch([STRUCK], *RANGES["rest"], source="rest", refresh=True)
        assert _compare(settings, truth, "rest")[STRUCK] == (0, 0)
        exchange.clear_faults()


@pytest.mark.parametrize("source", ["daily", "monthly"])
def test_another_symbols_file_does_not_match_the_checksum(
    settings: Settings, exchange: LoopbackExchange, truth: Path, source: str
) -> None:
    foreign = exchange.archive.get(f"data/spot/{source}/klines/{OTHER}/1m/{OTHER}-1m-{DATES[source]}.zip")
    assert foreign is not None
    exchange.archive.edit(source, STRUCK, DATES[source], spoil=lambda _: foreign.body)  # type: ignore[arg-type]
    result = _ingest(settings, source)[STRUCK]
    # Daily files stand in for a month's.
    assert result.status == ("ok" if source == "monthly" else "failed")
    assert result.error is None or "does not match its checksum, twice" in result.error
    assert _compare(settings, truth, source)[STRUCK] == (0, 0 if source == "monthly" else 2_880)
    assert _compare(settings, truth, source)[OTHER] == (0, 0)


@pytest.mark.parametrize("source", list(RANGES))
def test_host_without_an_address_fails_clearly(
    settings: Settings, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(*arguments: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    url = "http://exchange.invalid"
    results = _ingest(
        replace(settings, api=replace(settings.api, base_url=url), archive=replace(settings.archive, base_url=url)),
        source,
    )
    assert {result.status for result in results.values()} == {"failed"}
    assert all("exchange.invalid" in str(result.error) for result in results.values())
    assert not settings.store.database.exists()


@pytest.mark.parametrize("source", list(RANGES))
def test_host_without_tls_fails_clearly(settings: Settings, exchange: LoopbackExchange, source: str) -> None:
    url = exchange.url.replace("http://", "https://")
    results = _ingest(
        replace(settings, api=replace(settings.api, base_url=url), archive=replace(settings.archive, base_url=url)),
        source,
    )
    assert {result.status for result in results.values()} == {"failed"}
    assert all(result.error for result in results.values())
    assert not settings.store.database.exists()


def test_clock_of_this_machine_an_hour_off_changes_nothing(
    settings: Settings, exchange: LoopbackExchange, truth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("download.missing", "exchange.http"):
        monkeypatch.setattr(f"threadx_duck.{module}.utc_now", lambda: datetime(2024, 2, 4, 13))
    with IngestionManager(settings) as manager:
        result = manager.update_assets_batch([STRUCK], "2024-02-04", source="rest")[STRUCK]
    assert (result.status, result.rows_added) == ("ok", 720)
    assert _compare(settings, truth, "rest")[STRUCK][0] == 0
