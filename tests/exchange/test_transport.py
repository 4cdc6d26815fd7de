"""Proxy and certificate settings, for REST and archive alike, over real sockets of this machine."""

from __future__ import annotations

import base64
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pytest
import requests

from tests.conftest import Invoke
from tests.support.archive_helpers import JANUARY, SYMBOL, ingest, make_settings, serve, served, sources, stored
from threadx_duck.cli.main import run

pytestmark = pytest.mark.slow

# A file, a hole for REST, and nothing else.
SPAN = JANUARY[0], datetime(2025, 2, 1, 6)


@contextmanager
def forwarding(
    target: str, context: ssl.SSLContext | None = None, wanted: tuple[str, str] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """A server that passes every GET on to another, as a proxy or under its own address; and what it was asked.

    It refuses whoever does not send the header ``wanted``, a name and a value.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            if wanted is not None and self.headers[wanted[0]] != wanted[1]:
                self.send_error(401)
                return
            url = self.path if self.path.startswith("http://") else target + self.path
            answer = requests.get(url, timeout=20)
            self.send_response_only(answer.status_code)
            self.send_header("Date", answer.headers["Date"])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Clients that refuse the certificate hang up; that is what is tried here."""

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http{'s' if context else ''}://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for this machine that nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl command to make a certificate with")
    key, file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=loopback"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(file)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return file, context


def test_everything_goes_through_the_proxy(tmp_path: Path) -> None:
    with serve() as exchange, forwarding("") as (proxy, asked):
        settings = make_settings(tmp_path, exchange.url, api=f'proxy = "{proxy}"')
        result, _ = ingest(settings, *SPAN)
        assert result.status == "ok"
        assert stored(settings).equals(served(exchange.market, *SPAN))
        assert sources(settings) == {"archive_monthly": 1, "rest": 1}
        assert len(asked) == len(exchange.requests)
        assert all(path.startswith(exchange.url) for path in asked)


def test_proxy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with serve() as exchange:
        settings = make_settings(tmp_path, exchange.url, api='proxy = "http://127.0.0.1:9"')
        result, _ = ingest(settings, *SPAN)
        assert "The proxy http://127.0.0.1:9 did not connect" in str(result.error)
        assert not exchange.requests


def test_own_certificates_serve_rest_and_archive(tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]) -> None:
    file, context = certificate
    with serve() as exchange, forwarding(exchange.url, context) as (url, asked):
        settings = make_settings(tmp_path, url, api=f'ca_bundle = "{file}"')
        result, _ = ingest(settings, *SPAN)
        assert (result.status, result.error) == ("ok", None)
        assert stored(settings).equals(served(exchange.market, *SPAN))
        assert sources(settings) == {"archive_monthly": 1, "rest": 1}
        assert len(asked) == len(exchange.requests)


@pytest.mark.parametrize("source", ["rest", "archive"])
def test_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], source: str
) -> None:
    with serve() as exchange, forwarding(exchange.url, certificate[1]) as (url, _):
        settings = make_settings(tmp_path, url)
        result, _ = ingest(settings, *SPAN, source=source)
        assert result.status == "failed"
        assert "[data.api] ca_bundle" in str(result.error)
        assert not exchange.requests


# A user name and a password as they stand in an address, with characters that must be escaped there.
USER, PASSWORD = "anna", "ge%2Fhe%40im%C3%BC"
SENT = "Basic " + base64.b64encode("anna:ge/he@imü".encode()).decode()
COMMANDS = [
    ("ingest", SYMBOL, "--start", "2025-01-01", "--end", "2025-02-01"),
    ("ingest", SYMBOL, "--start", "2025-02-02", "--end", "2025-02-02", "--source", "rest"),
    ("doctor",),
    ("doctor", "--json"),
    ("config",),
    ("config", "--json"),
    ("symbols", "--refresh"),
    ("explain", SYMBOL, "2025-01-01T10:00"),
    ("explain", SYMBOL, "2025-01-01T10:00", "--json"),
    ("query", "from requests"),
    ("publish", "read.duckdb"),
]


def _with_user(url: str) -> str:
    return url.replace("://", f"://{USER}:{PASSWORD}@")


def _secrets_in(text: str) -> list[str]:
    return [secret for secret in (USER, "ge%2F", "ge/he", "im%C3") if secret in text]


def _secrets_kept(folder: Path) -> list[str]:
    texts = {path.name: path.read_bytes().decode("latin1") for path in folder.rglob("*") if path.is_file()}
    return [name for name, text in texts.items() if name != "paths.toml" and _secrets_in(text)]


@pytest.mark.slow
def test_password_of_a_host_is_sent_and_neither_shown_nor_kept(tmp_path: Path, invoke: Invoke) -> None:
    with serve() as exchange, forwarding(exchange.url, wanted=("Authorization", SENT)) as (url, asked):
        make_settings(tmp_path, _with_user(url), archive='[logging]\nlevel = "DEBUG"\n')
        for command in COMMANDS:
            ran = invoke("--verbose", *command)
            assert ran.exit_code == 0 or command[0] in {"doctor", "query"}, (command, ran.output)
            assert not _secrets_in(ran.output), command
        assert any("monthly" in path for path in asked)
        assert any("klines?" in path for path in asked)
    assert (tmp_path / "data" / "symbols.json").is_file()
    for command in COMMANDS:
        assert not _secrets_in(invoke("--verbose", *command).output), command
    assert not _secrets_kept(tmp_path)


def test_password_of_a_proxy_is_sent_and_neither_shown_nor_kept(tmp_path: Path, invoke: Invoke) -> None:
    with serve() as exchange:
        with forwarding("", wanted=("Proxy-Authorization", SENT)) as (proxy, _):
            make_settings(tmp_path, exchange.url, api=f'proxy = "{_with_user(proxy)}"')
            ran = invoke("--verbose", *COMMANDS[0])
            assert ran.exit_code == 0, ran.output
        for command in COMMANDS[1:]:
            ran = invoke("--verbose", *command)
            assert not _secrets_in(ran.output), command
        assert f"The proxy {proxy} did not connect" in invoke("--verbose", *COMMANDS[1]).output
    assert not _secrets_kept(tmp_path)


@pytest.mark.parametrize("key", ["base_url", "proxy"])
@pytest.mark.parametrize("host", ["", ":0", "/", "anna:12/geheim@host", " host"])
def test_password_in_an_address_that_is_refused_is_not_shown(
    tmp_path: Path, invoke: Invoke, key: str, host: str
) -> None:
    (tmp_path / "paths.toml").write_text(f'[data.api]\n{key} = "http://anna:geheim@{host}"\n')
    ran = invoke("--verbose", "config")
    assert ran.exit_code == 2
    assert not {"anna", "geheim"} & set(re.findall(r"\w+", ran.output))


def test_password_that_an_earlier_version_has_kept_is_not_shown_by_explain(tmp_path: Path, invoke: Invoke) -> None:
    with serve() as exchange:
        settings = make_settings(tmp_path, exchange.url)
        ingest(settings, *SPAN)
    with duckdb.connect(str(settings.store.database)) as connection:
        connection.execute(f"update requests set url = replace(url, '://', '://{USER}:{PASSWORD}@')")
    for command in COMMANDS[7:9]:
        ran = invoke(*command)
        assert ran.exit_code == 0
        assert "127.0.0.1" in ran.output
        assert not _secrets_in(ran.output)


@pytest.fixture
def slow_proxy(certificate: tuple[Path, ssl.SSLContext]) -> Iterator[tuple[int, list[str]]]:
    """The port of a proxy to a host that encrypts just after a second has gone by, and trickles a header.

    With it what came of its connections.
    """
    ends: list[str] = []

    def talk(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            time.sleep(0.6)
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            time.sleep(0.6)
            with certificate[1].wrap_socket(connection, server_side=True) as encrypted:
                encrypted.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                ends.append("encrypted")
                for _ in range(500):
                    encrypted.sendall(b"a")
                    time.sleep(0.02)
                ends.append("heard to its end")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1]), ends


@pytest.mark.timeout(60)
def test_deadline_that_passes_while_a_connection_is_being_encrypted_ends_the_answer(
    certificate: tuple[Path, ssl.SSLContext], slow_proxy: tuple[int, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    port, ends = slow_proxy
    Path("paths.toml").write_text(
        f'[data.api]\nbase_url = "https://127.0.0.1"\nproxy = "http://127.0.0.1:{port}"\n'
        f'ca_bundle = "{certificate[0]}"\ntimeout_seconds = 1.0\nmax_retries = 0\n[data.archive]\nenabled = false\n'
    )
    assert run(["ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-01"]) == 1
    assert "took longer than 1 seconds; see [data.api] timeout_seconds." in capsys.readouterr().err
    assert "heard to its end" not in ends
