"""A lake whose files are in object storage, which a server on loopback plays."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import requests

from tests.lake.conftest import Threadx, write_settings
from tests.support.processes import wait_until
from threadx_duck.simulator import LoopbackExchange
from threadx_duck.storage.lake_attach import load_extensions

KEY = "very-secret-key"
INGEST = ("ingest", "BTCUSDC", "ETHUSDC", "--start", "2024-01-01", "--end", "2024-01-02")


@pytest.fixture(scope="module")
def storage() -> Iterator[str]:
    """The host and port of an S3 server with one empty bucket."""
    program = Path(sys.executable).with_name("moto_server")
    pytest.importorskip("duckdb_extension_httpfs", reason="duckdb-extension-httpfs is not installed")
    if not program.exists():
        pytest.skip("moto is not installed: pip install 'moto[server]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: _answers(port))
        requests.put(f"http://127.0.0.1:{port}/bucket", timeout=10).raise_for_status()
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _keep_keys(endpoint: str) -> None:
    """As a user does in a DuckDB shell."""
    with duckdb.connect() as connection:
        load_extensions(connection, "httpfs")
        connection.execute(
            f"create or replace persistent secret candles (type s3, key_id 'me', secret '{KEY}', region 'us-east-1', "
            f"endpoint '{endpoint}', url_style 'path', use_ssl false, scope 's3://bucket/')"
        )


@pytest.fixture
def bucket(
    storage: str, address: str, exchange: LoopbackExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lake in the bucket, whose keys a user has put into DuckDB's secrets."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    _keep_keys(storage)
    write_settings(tmp_path, exchange, address, data_path=f"s3://bucket/{tmp_path.name}")


def test_lake_in_object_storage_is_a_lake(bucket: None, threadx: Threadx, storage: str, tmp_path: Path) -> None:
    assert threadx(*INGEST).code == 0
    assert threadx("--db", "file.duckdb", *INGEST).code == 0
    assert threadx("compact").code == 0
    for arguments in (("fingerprint", "--json"), ("gaps", "--json"), ("check", "--json")):
        assert threadx(*arguments).out == threadx("--db", "file.duckdb", *arguments).out
    status = threadx("status", "--json").document
    assert (status["candles"], status["bytes"] > 10_000) == (5_520, True)
    listed = requests.get(f"http://{storage}/bucket?prefix={tmp_path.name}/main/candles_1m/", timeout=10).text
    assert listed.count("<Key>") == 2
    rows = threadx("query", "select count(*) as n from candles_1h", "--format", "csv")
    assert rows.out == "n\n92\n"
    assert threadx("query", "select * from read_csv('s3://bucket/other.csv')").code == 2
    doctor = threadx("doctor", "--json").document["findings"]
    assert f"under s3://bucket/{tmp_path.name}/" in next(row["text"] for row in doctor if row["topic"] == "store")
    assert threadx("migrate", "back.duckdb").code == 0
    assert KEY not in rows.err + str(doctor)


def test_object_storage_that_does_not_answer_is_told(bucket: None, threadx: Threadx) -> None:
    assert threadx(*INGEST).code == 0
    assert threadx("compact").code == 0
    _keep_keys("127.0.0.1:1")
    answer = threadx("fingerprint")
    assert answer.code == 1
    assert "The object storage of ducklake:postgres:" in answer.err
    assert "DuckDB's secrets: docs/lake.md" in answer.err
    assert KEY not in answer.err
