"""Every exception this package raises on purpose.

ThreadxDuckError
├── SettingsError            a key, type or value in the settings file
├── UsageError               an argument: a time, a range, a timeframe, a file
│   └── UnknownTimeframeError
├── SqlFileError             a file in ``sql/`` that is missing or malformed
├── QueryError               a statement that DuckDB refused
├── MissingExtraError        a part that is installed separately is not there
├── NoDisplayError           no window can be opened
├── StoreError               the store cannot be opened, read or written
│   ├── StoreLockedError     another process holds the file
│   ├── StoreConflictError   another process changed the same part of a lake first
│   └── NoLakeError          PostgreSQL answers, but there is no lake yet
└── DownloadError            the exchange could not be asked, or its answer could not be used
    ├── UnknownSymbolError   the exchange has no such symbol
    ├── ConnectionFailedError  no answer, or one cut off half way
    ├── ServerFailedError    5xx, or one of the exchange's own retryable codes
    ├── RateLimitedError     429: over the request budget
    ├── BannedError          418: this address is banned for a while; the run stops
    ├── HostRefusedError     403 or 451: this host will not serve us; the run stops
    └── BadResponseError     an answer that is not what was asked for

Messages say what is affected, what was found, and what to do; the command line prints them unchanged.
"""

# Error of every symbol that a stopped run did not finish.
STOPPED = "The run was stopped."

# Ends the sentence of an error whose cause may be this machine's network.
SEE_DOCTOR = " See: threadx doctor"

# End of the message for a store error that loses nothing.
CONTINUES = "What was stored before stays; the same command continues from there."


class ThreadxDuckError(Exception):
    """Base of all errors of this package."""

    def _render_traceback_(self) -> list[str]:
        """Returns what IPython shows in place of a traceback: the sentence alone, because it says what to do."""
        return [f"threadx: error: {self}"]


class SettingsError(ThreadxDuckError):
    """The settings file has an unknown key, a wrong type or an impossible value."""


class UsageError(ThreadxDuckError):
    """An argument cannot be used."""


class NoCandlesError(UsageError):
    """No stored candle opens in the range."""


class UnknownTimeframeError(UsageError):
    """A timeframe label does not name a width."""


class SqlFileError(ThreadxDuckError):
    """A file in ``sql/`` is missing or malformed."""


class QueryError(ThreadxDuckError):
    """DuckDB refused a statement."""


class MissingExtraError(ThreadxDuckError):
    """A library that only one part of this package needs is not installed."""


class NoDisplayError(ThreadxDuckError):
    """No window can be opened: there is no tkinter, or no display."""


class StoreError(ThreadxDuckError):
    """The store cannot be opened, read or written."""


class StoreLockedError(StoreError):
    """Another process holds the database file, or changes the same symbols of a lake, and did not finish in time."""


class StoreConflictError(StoreError):
    """Another process changed the same part of a lake first, at every attempt."""


class NoLakeError(StoreError):
    """PostgreSQL answers, but its database holds no lake yet."""


class DownloadError(ThreadxDuckError):
    """The exchange could not be asked, or its answer could not be used.

    ``retryable`` is True if the same request may succeed when it is repeated;
    ``stops_run`` is True if every other request to the same host would fail in the same way. ``why_wait`` is the
    sentence for a person who waits for the next try, if it is another than the error's own.
    """

    retryable = False
    stops_run = False
    why_wait = ""


class UnknownSymbolError(DownloadError):
    """The exchange does not know the symbol."""


class ConnectionFailedError(DownloadError):
    """No answer came: refused, dropped, timed out, or cut off half way."""

    retryable = True


class ServerFailedError(DownloadError):
    """The exchange answered with a 5xx status or one of its own retryable codes.

    ``retry_after`` is the number of seconds to wait that it asks for, 0 if it does not say.
    """

    retryable = True
    retry_after = 0.0


class RateLimitedError(DownloadError):
    """The exchange answered 429; ``retry_after`` is the number of seconds to wait that it asks for."""

    retryable = True

    def __init__(self, message: str, retry_after: float, why_wait: str = "") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.why_wait = why_wait


class BannedError(DownloadError):
    """The exchange answered 418: it has banned this address, and more requests make the ban longer."""

    stops_run = True


class HostRefusedError(DownloadError):
    """The host answered 403 or 451 and will refuse every other request too."""

    stops_run = True


class BadResponseError(DownloadError):
    """An answer with status 200 is not what was asked for; it may have been cut or damaged on its way."""

    retryable = True
