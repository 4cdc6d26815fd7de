"""A map of what is stored as an HTML page: one row per symbol, one cell per month, filled by the share present."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.candles.reasons import COLOURS, REASONS
from threadx_duck.charts.page import make_page, write_page
from threadx_duck.disk.whole_files import require_replaceable
from threadx_duck.texts.symbols import nothing_stored

if TYPE_CHECKING:
    from threadx_duck.storage.store import Store

_BODY = """<form role="search"><label>Symbols <input type="search" id="filter" autocomplete="off" spellcheck="false"
placeholder="BTC"></label><span id="shown"></span></form>
<ul id="legend"></ul>
<main id="map" tabindex="0"></main>
<output id="told" hidden></output>"""


def write_coverage_map(store: Store, file: Path) -> str:
    """Writes the map of everything stored as one HTML file and returns a sentence that says what it shows.

    Raises `UsageError` if nothing is stored or the file cannot be written, and `StoreError`.
    """
    require_replaceable(file)
    months = store.query("read/coverage_by_month")
    if not months.num_rows:
        raise nothing_stored(store.name)
    note = _describe(months)
    page = make_page(
        title="Coverage",
        note=note,
        body=_BODY,
        styles=("coverage.css",),
        scripts=("coverage.js",),
        data=_data(months),
    )
    write_page(file, page)
    return note


def _describe(months: pa.Table) -> str:
    symbols = pc.count_distinct(months["symbol"]).as_py()
    candles, expected = pc.sum(months["candles"]).as_py(), pc.sum(months["expected"]).as_py()
    not_downloaded = pc.sum(months["not_downloaded"]).as_py()
    return (
        f"{candles:,} candles of {symbols:,} symbol{'' if symbols == 1 else 's'} in {months.num_rows:,} months; "
        f"{expected - candles:,} minutes are missing, {not_downloaded:,} of them not downloaded."
    )


def _data(months: pa.Table) -> dict[str, Any]:
    """Returns what the script reads: the symbols, and the columns of ``coverage_by_month``.

    ``symbol`` is an index into ``symbols``; ``month`` counts months from January of the year 0.
    """
    symbols = pc.unique(months["symbol"]).sort()
    number = pc.add(pc.multiply(pc.year(months["month"]), 12), pc.subtract(pc.month(months["month"]), 1))
    return {
        "symbols": symbols.to_pylist(),
        "symbol": pc.index_in(months["symbol"], symbols).to_pylist(),
        "month": number.to_pylist(),
        "expected": months["expected"].to_pylist(),
        "candles": months["candles"].to_pylist(),
        # In the order in which a cell shows them, after the minutes that are present.
        "reasons": {reason: months[reason].to_pylist() for reason in reversed(REASONS)},
        "colours": COLOURS,
    }
