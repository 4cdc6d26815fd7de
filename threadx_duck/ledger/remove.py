"""Deletes candles with their evidence, so that the ledger stays true: a removed range counts as never requested."""

from __future__ import annotations

from threadx_duck.candles.ranges import EVER, TimeRange
from threadx_duck.storage.store import Session, Store
from threadx_duck.texts.symbols import not_stored, read_symbols


def count_candles(store: Store, symbol: str, span: TimeRange | None = None) -> int:
    """Returns how many candles a removal would delete. Raises `UsageError` if the symbol is not stored."""
    start, end = span or EVER
    with store.reading() as session:
        stored = [row[0] for row in session.run("read/symbol_spans")]
        (symbol,) = read_symbols([symbol], lambda: stored)
        if symbol not in stored:
            raise not_stored([symbol], stored, "See: threadx status")
        return int(session.run("read/count_candles", symbol=symbol, start=start, end=end)[0][0])


def remove_candles(store: Store, symbol: str, span: TimeRange | None = None) -> int:
    """Deletes a symbol's candles in a range, or all, in one transaction. Returns the number of deleted candles.

    Requests that reach beyond the range are cut at its edges.
    """
    start, end = span or EVER
    (symbol,) = store.named([symbol])

    def remove(session: Session) -> int:
        count = int(session.run("read/count_candles", symbol=symbol, start=start, end=end)[0][0])
        remove_evidence(session, symbol, TimeRange(start, end))
        if span is None:
            session.run("remove/delete_natives", symbol=symbol)
            session.run("remove/delete_native_requests", symbol=symbol)
        return count

    return store.change((symbol,), remove)


def remove_evidence(session: Session, symbol: str, span: TimeRange) -> None:
    """Deletes a symbol's candles in a range with their evidence, inside the session's transaction."""
    start, end = span
    session.run("remove/find_split", symbol=symbol, start=start, end=end)
    for name in ("remove/move_candles", "remove/move_rejected", "remove/move_revisions"):
        session.run(name, symbol=symbol, end=end)
    session.run("remove/insert_split", end=end)
    for name in (
        "remove/shrink_requests",
        "remove/delete_candles",
        "remove/delete_rejected",
        "remove/delete_revisions",
    ):
        session.run(name, symbol=symbol, start=start, end=end)
    session.run("remove/recount_requests", symbol=symbol)
    session.run("remove/delete_idle_requests", symbol=symbol)
