"""Proxy and certificate settings, for REST and archive alike, over real sockets of this machine."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tests.archive_helpers import JANUARY, ingest, make_settings, serve, served, sources, stored

# A file, a hole for REST, and nothing else.
SPAN = JANUARY[0], datetime(2025, 2, 1, 6)


@contextmanager
def forwarding(target: str, context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server that passes every GET on to another, as a proxy or under its own address; and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
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
