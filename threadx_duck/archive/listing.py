"""Lists the files that the archive has of a symbol, from its bucket's listing."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlencode

from threadx_duck.archive.names import ArchiveFile, FileSource, folder_of
from threadx_duck.errors import BadResponseError
from threadx_duck.texts.urls import without_user

# The host of the default archive serves files only; the bucket behind it can list them
# (binance-public-data, and the page that data.binance.vision itself shows).
_BUCKETS = {"https://data.binance.vision": "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision"}

_KEY = re.compile(r"<Key>([^<]*)</Key>")
_IS_LISTING = re.compile(r"<ListBucketResult\b")
_IS_CUT = re.compile(r"<IsTruncated>\s*true\s*</IsTruncated>")

# A page has 500 zips with their checksums: the daily files of ten years take eight pages.
_MOST_PAGES = 40


@dataclass(frozen=True)
class NotListed(Container[ArchiveFile]):
    """Contains every file of a symbol that the archive does not have; ``files`` are those that it has.

    ``pages`` is the number of listing pages that were read.
    """

    files: frozenset[ArchiveFile]
    pages: int

    def __contains__(self, file: object) -> bool:
        return file not in self.files


def find_files(ask: Callable[[str], bytes], root: str, symbol: str) -> NotListed:
    """Finds the archive's files of a symbol, with two requests, and one more per 500 days.

    ``ask`` returns the body of a URL. Raises `DownloadError`, such as `BadResponseError` for a body that is no listing.
    """
    months, pages = _list(ask, root, symbol, "archive_monthly")
    days, more = _list(ask, root, symbol, "archive_daily")
    return NotListed(frozenset(months + days), pages + more)


def _list(ask: Callable[[str], bytes], root: str, symbol: str, source: FileSource) -> tuple[list[ArchiveFile], int]:
    # The bucket lists its keys without percent-encoding; only URLs have it.
    prefix = unquote(folder_of(source, symbol))
    found: list[ArchiveFile] = []
    marker = ""
    for page in range(1, _MOST_PAGES + 1):
        query = {"delimiter": "/", "prefix": prefix, **({"marker": marker} if marker else {})}
        address = f"{_BUCKETS.get(root, f'{root}/')}?{urlencode(query, quote_via=quote)}"
        text = ask(address).decode("utf-8", "replace")
        if not _IS_LISTING.search(text):
            raise BadResponseError(f"{without_user(address)} did not answer with a list of files.")
        keys = [html.unescape(key) for key in _KEY.findall(text)]
        files = [ArchiveFile.of_name(key.removeprefix(prefix)) for key in keys if key.endswith(".zip")]
        found += [file for file in files if file is not None and (file.source, file.symbol) == (source, symbol)]
        if not _IS_CUT.search(text) or not keys or keys[-1] <= marker:
            return found, page
        marker = keys[-1]
    raise BadResponseError(f"The archive's list of {symbol} does not end.")
