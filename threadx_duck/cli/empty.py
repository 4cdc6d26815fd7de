"""What an empty answer says instead: what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from threadx_duck.cli.context import first_of
from threadx_duck.texts.symbols import nothing_stored
from threadx_duck.texts.visible import visible

if TYPE_CHECKING:
    from threadx_duck.storage.store import Store

_NAMED = 5


def what_is_stored(store: Store, symbols: Sequence[str] = ()) -> str:
    """Returns a sentence on the stored range of some or all symbols, however these are typed. Raises `StoreError`."""
    with store.reading() as session:
        spans = {name: (first, last) for name, first, last in session.run("read/symbol_spans")}
    chosen = [name for name in (store.named(symbols) if symbols else sorted(spans)) if name in spans]
    if not chosen:
        return str(nothing_stored(store.name))
    first, last = min(spans[name][0] for name in chosen), max(spans[name][1] for name in chosen)
    named = first_of([visible(name) for name in chosen], _NAMED)
    return f"Stored: {named}, from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC."
