"""The name of a store: the path of a file, or the address of a lake, which is never shown with its secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from threadx_duck.errors import UsageError

PREFIX = "ducklake:"
HIDDEN = "***"

_POSTGRES = f"{PREFIX}postgres:"
_EXAMPLE = f'"{_POSTGRES}dbname=candles host=db.example user=threadx"'
# The rules of libpq: blanks around "=" are optional, a value with blanks stands in single quotes.
_PAIR = re.compile(r"\s*(?P<key>\w+)\s*=\s*(?P<value>'(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)")
_SECRET = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
# All keys that libpq of PostgreSQL 18 knows. Other keys are refused: one may be a mistyped `password`.
_KEYS = _SECRET | {
    "application_name", "channel_binding", "client_encoding", "connect_timeout", "dbname",
    "fallback_application_name", "gssdelegation", "gssencmode", "gsslib", "host", "hostaddr", "keepalives",
    "keepalives_count", "keepalives_idle", "keepalives_interval", "krbsrvname", "load_balance_hosts",
    "max_protocol_version", "min_protocol_version", "oauth_client_id", "oauth_issuer", "oauth_scope", "options",
    "passfile", "port", "replication", "require_auth", "requirepeer", "service", "servicefile",
    "ssl_max_protocol_version", "ssl_min_protocol_version", "sslcert", "sslcertmode", "sslcompression",
    "sslcrl", "sslcrldir", "sslkey", "sslkeylogfile", "sslmode", "sslnegotiation", "sslrootcert", "sslsni",
    "target_session_attrs", "tcp_user_timeout", "user",
}  # fmt: skip
# Addresses to which DuckDB's extension httpfs can write.
_STORAGE = re.compile(r"(s3|s3a|s3n|gcs|gs|r2)://[^/?#@:]+(/[^?#@]*)?")
_PLACE = ("service", "host", "hostaddr", "port", "dbname")
# Without this, the timeout of the operating system applies, which is minutes long.
_CONNECT_SECONDS = "10"


@dataclass(frozen=True, repr=False, eq=False)
class LakeAddress:
    """A DuckLake whose catalog is in PostgreSQL: how to reach the catalog, and where a new lake keeps its files.

    ``data_path`` is a folder or an address of object storage; DuckLake stores it, so it is needed only to
    create a lake. Only `secrets`, `password` and `catalog` contain secrets; ``str`` and ``repr`` hide them.
    """

    catalog: tuple[tuple[str, str], ...]
    data_path: str = ""

    def __eq__(self, other: object) -> bool:
        """Equal if both name the same catalog; user and password are ignored."""
        return isinstance(other, LakeAddress) and self._place == other._place

    def __hash__(self) -> int:
        return hash(self._place)

    @property
    def _place(self) -> tuple[str, ...]:
        return tuple(dict(self.catalog).get(key, "") for key in _PLACE)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The passwords in the address."""
        return tuple(value for key, value in self.catalog if key in _SECRET and value)

    @property
    def password(self) -> str:
        """The password for PostgreSQL; empty if the address has none."""
        return dict(self.catalog).get("password", "")

    @property
    def connection(self) -> str:
        """The text that DuckDB attaches, without the password, because DuckDB shows this text to everybody."""
        pairs = {"connect_timeout": _CONNECT_SECONDS} | {k: v for k, v in self.catalog if k != "password"}
        return f"{_POSTGRES}{_write(pairs.items())}"

    def part(self, key: str, default: str) -> str:
        """Returns one part of the address, such as ``host``, for messages; ``default`` if it is missing or empty."""
        return dict(self.catalog).get(key) or default

    def scrub(self, text: str) -> str:
        """Returns the text with every secret of this address replaced by ``***``."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def __str__(self) -> str:
        return f"{_POSTGRES}{_write((key, HIDDEN if key in _SECRET else value) for key, value in self.catalog)}"

    def __repr__(self) -> str:
        return f"LakeAddress({str(self)!r}, data_path={self.data_path!r})"


Address = Path | LakeAddress


def is_lake(text: str) -> bool:
    """Returns True if a text is meant to name a lake."""
    return text.lower().startswith(PREFIX)


def read_address(text: str) -> Address:
    """Returns the file or lake that a text names. Raises `UsageError`, which shows no part that may be a secret."""
    if not is_lake(text):
        return Path(text)
    if not text.startswith(_POSTGRES):
        raise UsageError(
            f"A lake's catalog is a PostgreSQL database: {_EXAMPLE}. "
            "A catalog in a file would serve one process at a time, as a DuckDB file does: name that."
        )
    rest = text.removeprefix(_POSTGRES)
    pairs: list[tuple[str, str]] = []
    position = 0
    while rest[position:].strip():
        match = _PAIR.match(rest, position)
        if match is None:
            raise UsageError(f"The address of a lake is written in pairs, such as {_EXAMPLE}.")
        pairs.append((match["key"], _unquoted(match["value"])))
        position = match.end()
    if not pairs:
        raise UsageError(f"The address of a lake names its PostgreSQL database, such as {_EXAMPLE}.")
    _require_usable([key for key, _ in pairs])
    return LakeAddress(tuple(pairs))


def _require_usable(keys: list[str]) -> None:
    """Raises `UsageError` for a key that PostgreSQL does not know, or whose value DuckDB would show."""
    unknown = [key for key in keys if key not in _KEYS]
    if unknown:
        raise UsageError(f"PostgreSQL knows no {', '.join(unknown)} in an address, such as {_EXAMPLE}.")
    shown = [key for key in keys if key in _SECRET and key != "password"]
    if shown:
        raise UsageError(
            f"DuckDB would show the {', '.join(shown)} of the lake's address to everybody who asks. Write it into a "
            f'section of ~/.pg_service.conf and name that: "{_POSTGRES}service=NAME".'
        )


def require_data_path(text: str) -> None:
    """Raises `UsageError` unless a text names a folder, or object storage that can be written to.

    The error does not show the text, because keys in it must not appear in a log.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", text) and not _STORAGE.fullmatch(text):
        raise UsageError(
            "A lake's data path is a folder, or object storage such as s3://bucket/candles: s3, gcs or r2, a bucket, "
            "and nothing but a path behind it. Keys belong into DuckDB's secrets: docs/lake.md."
        )


def is_remote(data_path: str) -> bool:
    """Returns True if the path is in object storage, False if it is a folder."""
    return "://" in data_path


def _unquoted(value: str) -> str:
    inner = value[1:-1] if value.startswith("'") else value
    return re.sub(r"\\(.)", r"\1", inner)


def _write(pairs: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{key}={_quoted(value)}" for key, value in pairs)


def _quoted(value: str) -> str:
    if value and not re.search(r"[\s'\\]", value):
        return value
    return "'" + re.sub(r"(['\\])", r"\\\1", value) + "'"
