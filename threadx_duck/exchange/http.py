"""An HTTP client with limits on time and size, with retries, and with errors that name the cause."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from http.client import IncompleteRead, RemoteDisconnected
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential, wait_random
from tenacity.nap import sleep_using_event

from threadx_duck.candles.times import DAY, utc_now
from threadx_duck.config import ApiSettings
from threadx_duck.errors import (
    SEE_DOCTOR,
    BadResponseError,
    ConnectionFailedError,
    DownloadError,
    RateLimitedError,
    ServerFailedError,
)
from threadx_duck.exchange.markets import FIRST_MINUTE
from threadx_duck.exchange.waits import Waits
from threadx_duck.exchange.watchdog import Watchdog, watch_connections
from threadx_duck.texts.urls import authorization, without_user

logger = logging.getLogger("threadx_duck.sources")

_CHUNK = 1 << 16
_LONGEST_BACKOFF = 60.0

_REASONS: dict[type[BaseException], str] = {
    ConnectionRefusedError: "it refused the connection",
    socket.gaierror: "its name is unknown here, so there is no network or the name is mistyped",
    RemoteDisconnected: "it closed the connection without a word",
    ConnectionResetError: "it broke the connection off",
    BrokenPipeError: "it broke the connection off",
    IncompleteRead: "its answer was cut off",
}
_NO_WAY = "no network leads there"
_NO_WAYS = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN}


@dataclass(frozen=True)
class Answer:
    """One HTTP answer with its whole body.

    ``url`` is the requested address without the user name and password that were sent with it. ``moment`` is the
    exchange's clock when it answered (its ``Date`` header, whole seconds, naive UTC), or this machine's clock if it
    sent no such header; ``is_dated`` is True for the former.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    moment: datetime
    is_dated: bool
    seconds: float


Content = TypeVar("Content")


class _Adapter(HTTPAdapter):
    """Sends the user name and password to a proxy in a header, so that no address in a library's message has them."""

    def __init__(self, user: str | None, **options: Any) -> None:
        self._user = user
        super().__init__(**options)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Makes connections that the watchdog can shut."""
        super().init_poolmanager(*arguments, **options)
        watch_connections(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        """Makes connections through a proxy that the watchdog can shut."""
        manager = super().proxy_manager_for(*arguments, **options)
        watch_connections(manager)
        return manager

    def proxy_headers(self, _proxy: str) -> dict[str, str]:
        """Returns the header with the user name and password for the proxy."""
        return {} if self._user is None else {"Proxy-Authorization": self._user}


class _Session(requests.Session):
    """A session without redirects: requests would read a redirect's whole body, and fail at a malformed address."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Returns None: no redirect is followed."""
        del resp


class HttpClient:
    """Sends GET requests; all threads of a run share one client.

    Times out after ``timeout_seconds`` while connecting or between two chunks, and after ``timeout_seconds *
    patience`` for the whole answer with its header. A body larger than ``most_bytes`` is refused.
    """

    def __init__(
        self, settings: ApiSettings, stop: threading.Event, connections: int, waits: Waits | None = None
    ) -> None:
        self._settings = settings
        self._waits = waits or Waits()
        self._stop = stop
        self._watchdog = Watchdog()
        self._session = _Session()
        self._session.trust_env = False
        if settings.proxy:
            proxy = without_user(settings.proxy)
            self._session.proxies = {"http": proxy, "https": proxy}
        if settings.ca_bundle:
            self._session.verify = settings.ca_bundle
        adapter = _Adapter(authorization(settings.proxy), pool_connections=4, pool_maxsize=connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def close(self) -> None:
        """Closes every connection."""
        self._session.close()
        self._watchdog.close()

    def get(
        self,
        url: str,
        read: Callable[[Answer], Content],
        *,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
        most_bytes: int,
        patience: float = 1.0,
    ) -> Content:
        """Sends a GET request and returns what ``read`` returns for the answer.

        Retries as often as the settings say, if the error is retryable, and tells each wait before. ``read`` raises
        `DownloadError` for an answer that it cannot use. The context manager that ``turn`` returns is entered around
        each attempt. Raises `DownloadError`.
        """
        for attempt in Retrying(
            stop=stop_after_attempt(self._settings.max_retries + 1),
            wait=self._wait,
            retry=retry_if_exception(lambda error: isinstance(error, DownloadError) and error.retryable),
            sleep=sleep_using_event(self._stop),
            before_sleep=partial(self._tell_wait, urlsplit(without_user(url)).netloc),
            reraise=True,
        ):
            with attempt:
                with turn():
                    answer = self._ask(url, most_bytes, patience)
                return read(answer)
        raise AssertionError("tenacity either returns or raises")

    def _wait(self, state: RetryCallState) -> float:
        error = None if state.outcome is None else state.outcome.exception()
        # The request budget makes all threads wait for as long as the exchange has said.
        if isinstance(error, RateLimitedError):
            return 0.0
        delay = self._settings.retry_delay
        # Newer tenacity renames the first argument of its own wait_exponential_jitter.
        backoff = wait_exponential(multiplier=delay, max=_LONGEST_BACKOFF)
        return backoff(state) + wait_random(0, delay)(state)

    def _tell_wait(self, host: str, state: RetryCallState) -> None:
        error = None if state.outcome is None else state.outcome.exception()
        if self._stop.is_set() or not isinstance(error, DownloadError):
            return
        asked_for = error.retry_after if isinstance(error, RateLimitedError | ServerFailedError) else 0.0
        self._waits.tell(
            host,
            error.why_wait or str(error).removesuffix(SEE_DOCTOR),
            max(asked_for, state.upcoming_sleep),
            attempt=state.attempt_number + 1,
            attempts=self._settings.max_retries + 1,
            is_answered=not isinstance(error, ConnectionFailedError),
        )

    def _ask(self, url: str, most_bytes: int, patience: float) -> Answer:
        with self._watchdog.watching(self._settings.timeout_seconds * patience) as call:
            try:
                answer = self._get(url, most_bytes, patience)
            except DownloadError:
                if not call.is_overdue:
                    raise
            else:
                # A header that was cut off looks complete.
                if not call.is_overdue:
                    return answer
            raise self._too_slow(urlsplit(without_user(url)).netloc)

    def _get(self, url: str, most_bytes: int, patience: float) -> Answer:
        began = time.monotonic()
        timeout = self._settings.timeout_seconds
        user, url = authorization(url), without_user(url)
        sent = {"Authorization": user} if user else None
        host = urlsplit(url).netloc
        try:
            with self._session.get(url, headers=sent, timeout=timeout, stream=True, allow_redirects=False) as response:
                body = self._read(response, began + timeout * patience, most_bytes, host)
                status, headers = response.status_code, response.headers
        except requests.exceptions.SSLError as error:
            raise DownloadError(
                f"{host} has a certificate that is not trusted. If a proxy of your own stands between, "
                f"name its certificates: [data.api] ca_bundle. ({_reason(error)})"
            ) from error
        except requests.exceptions.ProxyError as error:
            raise ConnectionFailedError(
                f"The proxy {without_user(self._settings.proxy)} did not connect to {host}; see [data.api] proxy "
                f"({_reason(error)}).{SEE_DOCTOR}"
            ) from error
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise self._too_slow(host) from error
        except (requests.exceptions.ConnectionError, urllib3.exceptions.HTTPError) as error:
            raise ConnectionFailedError(f"No answer from {host}: {_reason(error)}.{SEE_DOCTOR}") from error
        except (requests.exceptions.RequestException, OSError) as error:
            # Such as an address that cannot be parsed: the error's message, and so a traceback, contains all of it.
            raise DownloadError(f"Cannot ask {host}: {_reason(error)}.") from None
        seconds = time.monotonic() - began
        logger.debug("GET %s: %s, %s bytes, %.3f s", url, status, len(body), seconds)
        dated = _read_date(headers.get("Date"))
        return Answer(url, status, headers, body, dated or utc_now(), dated is not None, seconds)

    def _read(self, response: requests.Response, deadline: float, most_bytes: int, host: str) -> bytes:
        # read1 returns the bytes that have arrived; iter_content would wait until a slow host has sent a whole chunk.
        chunks: list[bytes] = []
        size = 0
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            size += len(chunk)
            if size > most_bytes:
                raise BadResponseError(f"{host} sends more than {most_bytes:,} bytes where none so large is due.")
            if time.monotonic() > deadline:
                raise self._too_slow(host)
            chunks.append(chunk)
        return b"".join(chunks)

    def _too_slow(self, host: str) -> ConnectionFailedError:
        return ConnectionFailedError(
            f"{host} took longer than {self._settings.timeout_seconds:g} seconds; see [data.api] timeout_seconds."
            f"{SEE_DOCTOR}"
        )


def _read_date(date: str | None) -> datetime | None:
    """Returns the time of a ``Date`` header, UTC if it names no zone; None if it is missing or implausible."""
    if date is None:
        return None
    try:
        moment = parsedate_to_datetime(date)
        moment = moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if FIRST_MINUTE <= moment <= utc_now() + DAY else None


def _reason(error: BaseException) -> str:
    """Returns why no answer came in plain words, from the cause inside the wrappers of requests and urllib3."""
    while True:
        reason = getattr(error, "reason", None)
        inner = reason if isinstance(reason, BaseException) else error.__context__
        if inner is None:
            break
        error = inner
    for kind, words in _REASONS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, ssl.SSLCertVerificationError):
        text = error.verify_message
    elif isinstance(error, OSError):
        # Its text begins with the number that the system gives to the error.
        text = _NO_WAY if error.errno in _NO_WAYS else error.strerror or str(error)
    else:
        text = str(error)
    return without_user(" ".join((text or type(error).__name__).split())).rstrip(".")
