"""A map of what is stored as an HTML page: one row per symbol, one cell per month, filled by the share present."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from threadx_duck.audit.coverage import read_whole_coverage, show_percent
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
    overview, months = read_whole_coverage(store)
    if not overview.num_rows:
        raise nothing_stored(store.name)
    note = _describe(overview, months)
    page = make_page(
        title="Coverage",
        note=note,
        body=_BODY,
        styles=("coverage.css",),
        scripts=("coverage.js",),
        data=_data(overview, months),
    )
    write_page(file, page)
    return note


def _describe(overview: pa.Table, months: pa.Table) -> str:
    symbols, calendar_months = overview.num_rows, pc.count_distinct(months["cell_start"]).as_py()
    candles, missing = pc.sum(overview["candles"]).as_py(), pc.sum(overview["missing"]).as_py()
    not_downloaded = pc.sum(months["not_downloaded"]).as_py()
    return (
        f"{candles:,} candles of {symbols:,} symbol{'' if symbols == 1 else 's'} in {calendar_months:,} month"
        f"{'' if calendar_months == 1 else 's'}; "
        f"{missing:,} minutes are missing, {not_downloaded:,} of them not downloaded."
    )


def _data(overview: pa.Table, months: pa.Table) -> dict[str, Any]:
    """Returns what the script reads: the symbols, and by month the columns of ``coverage_cells``.

    ``symbol`` is an index into ``symbols``, ``share`` one into ``shares``; ``month`` counts from January of the year 0.
    """
    symbols, month = overview["symbol"].combine_chunks(), months["cell_start"]
    number = pc.add(pc.multiply(pc.year(month), 12), pc.subtract(pc.month(month), 1))
    shares = pc.unique(months["complete"])
    return {
        "symbols": symbols.to_pylist(),
        "complete": [show_percent(complete) for complete in overview["complete"].to_pylist()],
        "symbol": pc.index_in(months["symbol"], symbols).to_pylist(),
        "month": number.to_pylist(),
        "expected": months["expected"].to_pylist(),
        "candles": months["present"].to_pylist(),
        "shares": [show_percent(complete) for complete in shares.to_pylist()],
        "share": pc.index_in(months["complete"], shares).to_pylist(),
        # In the order in which a month shows them, after the minutes that are present.
        "reasons": {reason: months[reason].to_pylist() for reason in reversed(REASONS)},
        "colours": COLOURS,
    }
