"""The command line: what goes to stdout and stderr, and how it ends."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import click
import duckdb
import orjson
import pytest

from threadx_duck.candles.times import utc_now
from threadx_duck.cli import commands
from threadx_duck.cli.commands import COMMANDS, GROUPS
from threadx_duck.cli.lazy import module_of
from threadx_duck.cli.main import run
from threadx_duck.cli.main import threadx as group
from threadx_duck.config import Settings, StoreSettings, get_settings
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, Market

THREADX = [sys.executable, "-m", "threadx_duck"]


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return orjson.loads(self.out)


Threadx = Callable[..., Ended]


@pytest.fixture(scope="session")
def whole_store(tmp_path_factory: pytest.TempPathFactory, made_market: Market) -> Path:
    """A store of all that the market of `exchange` has, to copy."""
    path = tmp_path_factory.mktemp("store") / "whole.duckdb"
    with LoopbackExchange(made_market, now=datetime(2024, 1, 4, tzinfo=UTC)) as serving:
        defaults = get_settings()
        settings = replace(
            defaults,
            store=StoreSettings(database=path),
            api=replace(defaults.api, base_url=serving.url),
            logging=replace(defaults.logging, directory=path.parent),
        )
        with IngestionManager(settings) as manager:
            manager.update_assets_batch(list(made_market), "2024-01-01", "2024-01-03")
    return path


@pytest.fixture
def threadx(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Threadx:
    """Runs one command line over the test's own settings."""

    def call(*arguments: str) -> Ended:
        code = run(list(arguments))
        return Ended(code, *capsys.readouterr())

    return call


@pytest.fixture
def filled(settings: Settings, store_path: Path, whole_store: Path) -> Path:
    """The store of all that the exchange has."""
    store_path.parent.mkdir()
    shutil.copyfile(whole_store, store_path)
    return store_path


# ingest


def test_ingest_prints_what_became_of_each_symbol(threadx: Threadx) -> None:
    ended = threadx("ingest", "BTCUSDC", "SOLUSDC", "--start", "2024-01-01", "--end", "2024-01-03")
    assert ended.code == 0
    heading, line, *rows = ended.out.splitlines()
    assert heading.split() == ["symbol", "status", "new", "revised", "rejected", "requests", "seconds"]
    assert set(line) == {"─"}
    assert [row.split()[:6] for row in rows] == [
        ["BTCUSDC", "ok", "4,200", "0", "0", "6"],
        ["SOLUSDC", "ok", "2,160", "0", "0", "4"],
    ]
    assert ended.err.startswith("note: 6,360 candles in ")
    assert ended.err.count("\n") == 1


def test_ingest_gives_json(threadx: Threadx) -> None:
    document = threadx("ingest", "BTCUSDC", "NOPE", "--start", "2024-01-01", "--end", "2024-01-03", "--json").json
    fields = [
        "symbol",
        "status",
        "rows_added",
        "rows_revised",
        "rows_rejected",
        "requests",
        "seconds",
        "error",
        "timeframes",
    ]
    assert [list(entry) for entry in document["symbols"]] == [fields, fields]
    assert [entry["status"] for entry in document["symbols"]] == ["ok", "failed"]
    assert document["symbols"][0]["error"] is None
    assert "no symbol 'NOPE'" in document["symbols"][1]["error"]
    assert {name: document[name] for name in ("rows_added", "requests")} == {"rows_added": 4_200, "requests": 8}
    assert isinstance(document["seconds"], float)


def test_ingest_of_a_failing_symbol_ends_with_1_and_stores_the_others(threadx: Threadx, store_path: Path) -> None:
    ended = threadx("--quiet", "ingest", "NOPE", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-01")
    assert ended.code == 1
    assert ended.err.startswith("threadx: error: NOPE: 127.0.0.1:")
    assert ended.err.endswith(" has no symbol 'NOPE'.\n")
    assert ended.err.count("\n") == 1
    with duckdb.connect(str(store_path), read_only=True) as connection:
        assert connection.execute("select count(*) from candles_1m").fetchall() == [(1_320,)]


def test_ingest_again_is_up_to_date(threadx: Threadx, filled: Path, exchange: LoopbackExchange) -> None:
    document = threadx("ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-03", "--json").json
    assert [entry["status"] for entry in document["symbols"]] == ["up_to_date"]
    assert exchange.requests.klines == []


def test_ingest_of_a_dry_run_writes_nothing(threadx: Threadx, store_path: Path) -> None:
    ended = threadx("ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-01", "--dry-run", "--json")
    assert (ended.code, ended.json["symbols"][0]["status"]) == (0, "planned")
    assert not store_path.exists()


def test_ingest_of_a_held_store_says_who_holds_it(threadx: Threadx, filled: Path) -> None:
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(filled)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        ended = threadx("ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-03", "--refresh")
        assert process.stdin is not None
        process.stdin.close()
    note, error = ended.err.splitlines()
    assert ended.code == 1
    assert note.startswith("note: ")
    assert note.endswith("Waiting for up to 0.2 seconds.")
    assert error.startswith("threadx: error: ")
    assert f"(process {process.pid})" in error


# status, gaps, check


STATUS = """\
symbol    first candle       last candle        candles   missing   complete   last asked
───────────────────────────────────────────────────────────────────────────────────────────────
BTCUSDC   2024-01-01 00:00   2024-01-03 23:59     4,200       120   97.22 %    2024-01-04 00:00
ETHUSDC   2024-01-01 00:00   2024-01-03 23:59     4,200       120   97.22 %    2024-01-04 00:00
SOLUSDC   2024-01-02 12:00   2024-01-03 23:59     2,160         0   100.00 %   2024-01-04 00:00
"""
GAPS = """\
symbol    from               to (exclusive)     missing   reason   asked   absent
─────────────────────────────────────────────────────────────────────────────────
BTCUSDC   2024-01-01 05:00   2024-01-01 07:00       120   outage       2        2
ETHUSDC   2024-01-01 05:00   2024-01-01 07:00       120   outage       2        2
"""


def test_status_shows_every_symbol(threadx: Threadx, filled: Path) -> None:
    ended = threadx("status")
    assert (ended.code, ended.out) == (0, STATUS)
    assert ended.err.startswith("note: 10,560 candles, ")
    assert ended.err.endswith(" MB in data/threadx.duckdb; times are UTC.\n")


def test_status_gives_json_of_one_symbol(threadx: Threadx, filled: Path) -> None:
    document = threadx("status", "SOLUSDC", "--json").json
    (entry,) = document["symbols"]
    assert (
        entry
        | {
            "symbol": "SOLUSDC",
            "first_open_time": "2024-01-02T12:00:00Z",
            "last_open_time": "2024-01-03T23:59:00Z",
            "candles": 2_160,
            "expected": 2_160,
            "missing": 0,
        }
        == entry
    )
    assert document["candles"] == 2_160
    assert document["bytes"] == filled.stat().st_size


def test_status_of_a_stale_store_ends_with_3(threadx: Threadx, filled: Path) -> None:
    ended = threadx("status", "--max-age", "10m")
    assert (ended.code, ended.out) == (3, STATUS)
    assert ended.err.splitlines()[-1] == "note: Older than 10m: BTCUSDC, ETHUSDC, SOLUSDC. Run: threadx ingest"


def test_status_of_a_fresh_store_ends_with_0(threadx: Threadx, filled: Path) -> None:
    with duckdb.connect(str(filled)) as connection:
        late = utc_now().replace(second=0, microsecond=0) - timedelta(minutes=5)
        connection.execute("delete from candles_1m where symbol <> 'BTCUSDC'")
        connection.execute("update candles_1m set open_time = ? where open_time = '2024-01-03 23:59'", [late])
    assert threadx("status", "--max-age", "1h").code == 0
    assert threadx("status", "--max-age", "99999d").code == 0
    assert threadx("status", "--max-age", "60s").code == 3


@pytest.mark.parametrize("age", ["5x", "", "0m", "-1h", "1.5h", "100000d", "10 m"])
def test_status_of_an_unreadable_age_ends_with_2(threadx: Threadx, age: str) -> None:
    assert threadx("status", f"--max-age={age}") == (
        *(2, "", f"threadx: error: Cannot read the age {age!r}. Write a number and s, m, h or d, such as 10m.\n"),
    )


def test_gaps_are_shown_with_their_reasons(threadx: Threadx, filled: Path) -> None:
    assert threadx("gaps") == (0, GAPS, "note: 2 gaps, 240 minutes; times are UTC.\n")


def test_gaps_of_a_range_are_clipped(threadx: Threadx, filled: Path) -> None:
    document = threadx("gaps", "BTCUSDC", "--start", "2024-01-01T05:30", "--end", "2024-01-01T06:00", "--json").json
    (gap,) = document["gaps"]
    assert {name: gap[name] for name in ("symbol", "gap_start", "gap_end", "missing", "reason")} == {
        "symbol": "BTCUSDC",
        "gap_start": "2024-01-01T05:30:00Z",
        "gap_end": "2024-01-01T06:00:00Z",
        "missing": 30,
        "reason": "outage",
    }


@pytest.mark.slow
def test_check_of_a_clean_store_ends_with_0(threadx: Threadx, filled: Path) -> None:
    ended = threadx("check", "--json")
    assert ended.code == 0
    assert ended.json["rows"] == 0
    assert {"duplicate_candle", "lost_candle", "unexplained_gap"} <= {entry["name"] for entry in ended.json["checks"]}
    assert all(entry["description"].startswith("Finds ") and entry["rows"] == 0 for entry in ended.json["checks"])


def test_check_that_finds_a_fault_ends_with_3_and_shows_it(threadx: Threadx, filled: Path) -> None:
    with duckdb.connect(str(filled)) as connection:
        connection.execute("insert into candles_1m from candles_1m where symbol = 'BTCUSDC' limit 1")
    ended = threadx("check", "BTCUSDC")
    assert ended.code == 3
    assert "duplicate_candle: the first of 1 rows" in ended.out or "\nduplicate_candle: " in ended.out
    assert threadx("check", "ETHUSDC").code == 0
    document = threadx("check", "--json").json
    (entry,) = (entry for entry in document["checks"] if entry["rows"])
    assert (entry["name"], document["rows"], entry["found"][0]["symbol"]) == ("duplicate_candle", 1, "BTCUSDC")
    assert entry["found"][0]["open_time"].endswith("Z")


def test_check_runs_a_folder_of_ones_own(threadx: Threadx, filled: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "any_candle.sql").write_text(
        "-- any_candle: Finds every candle.\nselect symbol, open_time from candles_1m\n"
    )
    ended = threadx("check", "SOLUSDC", "--checks", "mine", "--json")
    assert (ended.code, ended.json["checks"][-1]["name"], ended.json["rows"]) == (3, "any_candle", 2_160)


@pytest.mark.parametrize("command", ["status", "gaps", "check"])
def test_a_symbol_that_is_not_stored_ends_with_2(threadx: Threadx, filled: Path, command: str) -> None:
    assert threadx(command, "BTCUSDC", "NOPE") == (
        *(2, "", "threadx: error: Not stored: NOPE. Run: threadx ingest NOPE\n"),
    )


# candles and query


@pytest.mark.slow
def test_candles_prints_a_table(threadx: Threadx, filled: Path) -> None:
    ended = threadx("candles", "BTCUSDC", "12h", "--start", "2024-01-01", "--end", "2024-01-01")
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.out.splitlines()) == 4
    assert ended.out.splitlines()[2].startswith("BTCUSDC   2024-01-01 00:00   59999.99 ")


def test_candles_gives_json_rows(threadx: Threadx, filled: Path) -> None:
    rows = threadx("candles", "BTCUSDC", "1d", "--format", "json").json
    assert [(row["open_time"], row["minutes"], row["is_complete"]) for row in rows] == [
        ("2024-01-01T00:00:00Z", 1_320, False),
        ("2024-01-02T00:00:00Z", 1_440, True),
        ("2024-01-03T00:00:00Z", 1_440, True),
    ]


def test_candles_fills_on_request(threadx: Threadx, filled: Path) -> None:
    rows = threadx("candles", "BTCUSDC", "1d", "--fill", "--format", "json").json
    assert [row["filled_minutes"] for row in rows] == [120, 0, 0]


def test_candles_writes_a_file(threadx: Threadx, filled: Path, tmp_path: Path) -> None:
    ended = threadx("candles", "BTCUSDC", "1m", "-o", "btc.parquet")
    assert (ended.code, ended.out, ended.err) == (0, "", "note: Wrote 4,200 rows to btc.parquet.\n")
    counted = duckdb.sql(f"select count(*) from '{tmp_path / 'btc.parquet'}'").fetchall()
    assert counted == [(4_200,)]


def test_query_prints_its_rows(threadx: Threadx, filled: Path) -> None:
    statement = "select symbol, count(*) as n from candles_1m group by all order by 1"
    assert threadx("query", statement) == (
        0,
        "symbol        n\n───────────────\nBTCUSDC   4,200\nETHUSDC   4,200\nSOLUSDC   2,160\n",
        "",
    )
    assert threadx("query", statement, "--format", "json").json[0] == {"symbol": "BTCUSDC", "n": 4_200}


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        pytest.param("selec", 'threadx: error: Parser Error: syntax error at or near "selec"', id="syntax"),
        pytest.param(
            "select x from candles_1m", 'threadx: error: Binder Error: Referenced column "x" not found', id="column"
        ),
        pytest.param(
            "delete from candles_1m", "threadx: error: Invalid Input Error: Cannot execute statement", id="write"
        ),
    ],
)
def test_query_that_cannot_run_ends_with_2_in_one_line(
    threadx: Threadx, filled: Path, statement: str, message: str
) -> None:
    ended = threadx("query", statement)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith(message)


# Usage and settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["nope"], "No such command 'nope'", id="command"),
        pytest.param(["status", "--nope"], "No such option", id="option"),
        pytest.param(["candles"], "Missing argument 'SYMBOL'.", id="argument"),
        pytest.param(["candles", "BTCUSDC", "7x"], "Unknown timeframe '7x'.", id="timeframe"),
        pytest.param(["ingest", "BTCUSDC", "--start", "soon"], "Cannot read the time 'soon'.", id="time"),
        pytest.param(["gaps", "--start", "2024-01-02", "--end", "2024-01-01"], "The range is empty", id="range"),
        pytest.param(["ingest"], "Nothing is stored in ", id="nothing to ingest"),
        pytest.param(["check", "--checks", "nowhere"], "Directory 'nowhere' does not exist", id="folder"),
        pytest.param(["query", "select 1", "--format", "xml"], "'xml' is not one of", id="format"),
        pytest.param(["--verbose", "--quiet", "status"], "--verbose and --quiet exclude each other.", id="both"),
        pytest.param(["--config", "nowhere.toml", "status"], "There is no settings file ", id="settings file"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(threadx: Threadx, arguments: list[str], message: str) -> None:
    ended = threadx(*arguments)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("threadx: error: ")
    assert message in ended.err


def test_wrong_settings_end_with_2(threadx: Threadx, tmp_path: Path) -> None:
    (tmp_path / "paths.toml").write_text("[data.api]\nmax_retries = true\n")
    assert threadx("status") == (
        2,
        "",
        (
            f"threadx: error: {tmp_path / 'paths.toml'}: [data.api] max_retries is true; "
            "it takes a whole number from 0 to 100.\n"
        ),
    )


def test_a_missing_store_ends_with_1(threadx: Threadx, store_path: Path) -> None:
    for command in (["status"], ["gaps"], ["check"], ["candles", "BTCUSDC", "1h"], ["query", "select 1"]):
        ended = threadx(*command)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err.startswith("threadx: error: There is no store at ")
        assert not store_path.exists()


def test_verbose_shows_the_traceback_of_an_error(threadx: Threadx) -> None:
    ended = threadx("--verbose", "status")
    assert ended.code == 1
    assert "Traceback (most recent call last):" in ended.err
    assert ended.err.splitlines()[-1].startswith("threadx: error: There is no store at ")


def test_quiet_says_nothing_but_the_result(threadx: Threadx, filled: Path) -> None:
    assert threadx("--quiet", "status") == (0, STATUS, "")


def test_verbose_puts_log_lines_on_stderr(threadx: Threadx) -> None:
    ended = threadx("--verbose", "ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-01", "--json")
    assert ended.json["rows_added"] == 1_320
    assert "Z INFO threadx_duck.ingest: BTCUSDC 2024-01-01T00:01:00Z to 2024-01-02T00:00:00Z: " in ended.err


def test_db_names_another_store(threadx: Threadx, filled: Path, tmp_path: Path) -> None:
    filled.rename(tmp_path / "other.duckdb")
    assert threadx("--db", "other.duckdb", "--quiet", "status").out == STATUS
    assert threadx("status").code == 1


def test_no_arguments_show_the_help(threadx: Threadx) -> None:
    ended = threadx()
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: threadx [OPTIONS] COMMAND [ARGS]...\n\n  An embedded DuckDB store")
    assert threadx("--help").out.splitlines()[0] == "Usage: threadx [OPTIONS] COMMAND [ARGS]..."


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(threadx: Threadx, command: str) -> None:
    for flag in ("--help", "-h"):
        ended = threadx(command, flag)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith(f"Usage: threadx {command} [OPTIONS]")


def test_version_is_the_packages(threadx: Threadx) -> None:
    from importlib.metadata import version

    assert threadx("--version") == (0, f"threadx, version {version('threadx_duck')}\n", "")


# Real processes


@pytest.mark.slow
def test_a_closed_pipe_is_no_error(filled: Path, tmp_path: Path) -> None:
    statement = "select unnest(range(500000)) as n, 'some text that fills the pipe' as t"
    for form in ("csv", "json", "table"):
        arguments = [*THREADX, "--quiet", "query", statement, "--format", form]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait() == 0


@pytest.mark.slow
def test_an_interruption_ends_with_130_and_keeps_what_came(
    settings: Settings, exchange: LoopbackExchange, tmp_path: Path
) -> None:
    asked = threading.Event()

    def is_late(request: Any) -> bool:
        late = int(request.params.get("startTime", 0)) >= 1_704_200_000_000
        if late:
            asked.set()
        return late

    exchange.fail("stall", times=None, match=is_late)
    arguments = [*THREADX, "ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-03"]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, text=True
    ) as process:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        exchange.close()
        out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert "The same command " in err


def test_the_module_runs_as_the_command(tmp_path: Path) -> None:
    ended = subprocess.run([*THREADX, "status"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("threadx: error: There is no store at ")
    assert ended.stderr.count("\n") == 1


def test_ingest_of_many_covered_symbols_lists_only_what_there_is_to_tell(
    threadx: Threadx, monkeypatch: pytest.MonkeyPatch
) -> None:
    threadx("ingest", "BTCUSDC", "ETHUSDC", "--start", "2024-01-01", "--end", "2024-01-01")
    monkeypatch.setattr("threadx_duck.cli.commands.ingest._LISTED_ALL", 1)
    again = threadx("ingest", "--end", "2024-01-01")
    assert again.out == ""
    assert again.err.startswith("note: 2 symbols up to date.\nnote: 0 candles in ")


def test_table_of_commands_lists_every_module_once(threadx: Threadx) -> None:
    folder = Path(commands.__file__).parent
    assert {module_of(name) for name in COMMANDS} == {path.stem for path in folder.glob("[!_]*.py")}
    assert sum(map(len, GROUPS.values())) == len(COMMANDS)


def test_command_is_imported_when_it_is_called_and_not_before() -> None:
    program = "import sys; from threadx_duck.cli.main import run; run(sys.argv[1:]); print(*sorted(sys.modules))"
    for arguments, imported in ((["--help"], set()), (["gaps", "--help"], {"gaps"})):
        ended = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        loaded = set(ended.stdout.splitlines()[-1].split())
        package = "threadx_duck.cli.commands."
        assert {name.removeprefix(package) for name in loaded if name.startswith(package)} == imported


def test_unknown_command_is_named() -> None:
    assert group.get_command(click.Context(group), "mian") is None
