"""Fixtures of the lake: a server for all tests of a process, a lake for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.lake.server import Server, find_programs
from threadx_duck.cli.main import run
from threadx_duck.config import Settings, get_settings
from threadx_duck.simulator import LoopbackExchange


def _missing() -> str | None:
    for package in ("ducklake", "postgres-scanner"):
        try:
            import_module(f"duckdb_extension_{package.replace('-', '_')}")
            version = metadata.version(f"duckdb-extension-{package}")
        except ImportError:
            return f"duckdb-extension-{package} is not installed: pip install 'threadx_duck[lake]'"
        if version != duckdb.__version__:
            return f"duckdb-extension-{package} {version} is not for duckdb {duckdb.__version__}"
    return None if find_programs() else "PostgreSQL is not installed: apt-get install postgresql"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    missing = _missing()
    if missing:
        pytest.skip(missing)
    programs = find_programs()
    assert programs is not None
    serving = Server(programs)
    yield serving
    serving.close()


@dataclass
class Answer:
    """What a command line gave."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Threadx = Callable[..., Answer]


@pytest.fixture
def threadx(capsys: pytest.CaptureFixture[str]) -> Threadx:
    """Runs a command line in this process."""

    def call(*arguments: str) -> Answer:
        capsys.readouterr()
        code = run(list(arguments))
        return Answer(int(code), *capsys.readouterr())

    return call


def write_settings(folder: Path, exchange: LoopbackExchange, address: str, **store: Any) -> None:
    """Settings whose store is a lake, and a PostgreSQL password file nowhere."""
    keys = {"database": address, "data_path": str(folder / "lake"), "lock_timeout_seconds": 20.0} | store
    (folder / "paths.toml").write_text(
        "[data.store]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
        + f'[data.api]\nbase_url = "{exchange.url}"\nretry_delay = 0.0\ntimeout_seconds = 20.0\n'
        f'[data.archive]\nbase_url = "{exchange.url}"\n'
    )


@pytest.fixture
def address(server: Server) -> str:
    """The address of a lake that is not there yet."""
    return server.make_database()


@pytest.fixture
def lake_settings(tmp_path: Path, exchange: LoopbackExchange, address: str) -> Settings:
    """Settings of the test's own ``paths.toml``: the loopback exchange with its archive, and a new lake."""
    write_settings(tmp_path, exchange, address)
    return get_settings()


@pytest.fixture(autouse=True)
def extensions_checked_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares every connection of this process the check of the extensions' signatures, a quarter of a second each.

    Other processes check them, and so did pip.
    """
    original = duckdb.connect

    def connect(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        if not arguments and not options:
            options = {"config": {"allow_unsigned_extensions": "true"}}
        return original(*arguments, **options)

    monkeypatch.setattr(duckdb, "connect", connect)
