"""Ctrl-C and SIGTERM: a command ends in a sentence with 130, in the middle of a query too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from threadx_duck.cli.main import run
from threadx_duck.config import StoreSettings
from threadx_duck.errors import StoreError
from threadx_duck.storage.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")]

ENDLESS = "select count(*) from range(100_000_000) a, range(100_000_000) b where a.range * b.range % 7 = 3"
ENDLESS_SCAN = "select sum(hash(range)) from range(100_000_000_000_000)"
SENTENCE = "threadx: interrupted; what was stored before stays."

# Says when the first statement that is not the package's own preparation begins; `connection.sql` has no hook.
_TOLD = """
import sys, threading
import duckdb, pyarrow
from threadx_duck.storage import session
from threadx_duck.cli.main import run
{patch}
sys.exit(run(sys.argv[1:]))
"""
_SAY = 'threading.Timer(0.3, lambda: (sys.stdout.write("begun\\n"), sys.stdout.flush())).start()'
_SLOW = f"""
import dataclasses
plain = session.read_sql
def slow(name):
    file = plain(name)
    if name not in {{names}}:
        return file
    {_SAY}
    is_select = not name.startswith("compact/")
    text = f"select q.* from ({{{{file.statement}}}}) q, ({ENDLESS_SCAN}) e" if is_select else {ENDLESS!r}
    return dataclasses.replace(file, statement=text)
session.read_sql = slow
"""


@pytest.fixture
def store(store_path: Path, empty_store: Path) -> Path:
    store_path.parent.mkdir()
    shutil.copy(empty_store, store_path)
    with duckdb.connect(str(store_path)) as connection:
        connection.execute(
            "insert into candles_1m select 'BTCUSDC', timestamp '2024-01-01' + interval (range) minute,"
            " 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 from range(3000)"
        )
    return store_path


def _interrupted(arguments: list[str], patch: str, number: signal.Signals) -> tuple[int, str, str]:
    """Runs a command in a process of its own and sends it a signal once its endless statement runs."""
    command = [sys.executable, "-c", _TOLD.format(patch=patch), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        try:
            out, err = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return process.returncode, out, err


@pytest.mark.parametrize(
    ("arguments", "slow", "number"),
    [
        pytest.param(["query", ENDLESS], None, signal.SIGINT, id="query"),
        pytest.param(["query", ENDLESS], None, signal.SIGTERM, id="query, SIGTERM"),
        pytest.param(["query", ENDLESS, "-o", "rows.csv"], None, signal.SIGINT, id="query into a file"),
        pytest.param(["check", "--checks", "mine"], None, signal.SIGINT, id="check"),
        pytest.param(["gaps"], "read/gaps", signal.SIGINT, id="gaps"),
        pytest.param(["fingerprint"], "fingerprints/candle_values", signal.SIGINT, id="fingerprint"),
        pytest.param(["candles", "BTCUSDC", "1h"], "read/candles", signal.SIGINT, id="candles"),
        pytest.param(["export", "-o", "out"], "read/symbol_span", signal.SIGINT, id="export"),
        pytest.param(["status"], "read/status", signal.SIGINT, id="status"),
        pytest.param(["compact"], "compact/copy_schema", signal.SIGINT, id="compact"),
        pytest.param(["compact"], "compact/copy_schema", signal.SIGTERM, id="compact, SIGTERM"),
        pytest.param(["verify", "-t", "1h"], "comparison/verifiable_ranges", signal.SIGINT, id="verify"),
    ],
)
def test_a_command_ends_in_a_sentence_while_a_query_runs(
    store: Path, tmp_path: Path, arguments: list[str], slow: str | None, number: signal.Signals
) -> None:
    if duckdb.__version__ < "2" and arguments[0] in {"gaps", "candles", "status", "verify"}:
        pytest.skip("not solved on DuckDB 1.5: a parameterised statement is interrupted at times, and at times is not")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "endless.sql").write_text(
        f"-- endless: Finds nothing, ever.\nselect 'x' as symbol, now() as open_time, n from ({ENDLESS}) t(n)\n"
    )
    before = store.read_bytes()
    patch = _SLOW.format(names={slow}) if slow else _SAY.replace("0.3", "1.5")
    code, out, err = _interrupted(arguments, patch, number)
    assert (code, out, err.strip()) == (130, "", SENTENCE), err
    assert store.read_bytes() == before
    left = {path.name for path in tmp_path.iterdir()} | {path.name for path in store.parent.iterdir()}
    assert left <= {"mine", "data", "out", "threadx.duckdb"}


def test_an_interrupted_statement_is_no_error_of_the_store(store: Path) -> None:
    """DuckDB's client sees the signal itself at times, and says so by a `RuntimeError`."""
    with Store(StoreSettings(database=store)).reading() as session:

        class Connection:
            def sql(self, *_: object, **__: object) -> None:
                raise RuntimeError("Query interrupted")

            execute = sql

            def interrupt(self) -> None:
                pass

        session._connection, real = Connection(), session._connection  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            session.query("read/status", symbols=[])
        session._connection = real
        with pytest.raises(StoreError):
            session.query("read/candles_1m", symbol="X")


def test_commands_one_after_another_leave_the_signals_as_they_were(store: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1)
    descriptors = len(list(Path("/dev/fd").iterdir()))
    for _ in range(3):
        assert run(["--quiet", "status"]) == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before[:2]
    assert signal.set_wakeup_fd(before[2]) == -1
    assert len(list(Path("/dev/fd").iterdir())) <= descriptors + 1
