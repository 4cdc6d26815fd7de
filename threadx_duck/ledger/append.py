"""Appends answers to a session's store with all their evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from threadx_duck.ledger.sort import sort_finished

if TYPE_CHECKING:
    from threadx_duck.ledger.requests import Batch
    from threadx_duck.storage.session import Session
    from threadx_duck.storage.store import Store


@dataclass(frozen=True)
class Appended:
    """The result for one request: how many candles were new, and how many replaced or removed stored ones.

    If an answer starts where a stored one ends, the ledger has merged it into the row of that one.
    """

    request_id: int
    rows_added: int
    rows_revised: int


def append_to_store(store: Store, batches: Sequence[Batch]) -> list[Appended]:
    """Commits answers with all their evidence in one transaction: everything or nothing.

    If an answer differs from the stored candles, the source of higher or equal rank wins, and the difference
    is recorded in ``revisions``. Creates the store if needed. Raises `StoreError`.
    """
    symbols = symbols_of(batches)
    if store.keeps_order:
        append = partial(append_batches, batches=batches, spare_memory=True)
        return store.change(symbols, append, partial(_prepare_order, batches=batches))
    return store.change(symbols, partial(append_batches, batches=batches))


def _prepare_order(session: Session, batches: Sequence[Batch]) -> None:
    """Sorts finished days and weeks, outside the transaction, and keeps the inserted rows in order."""
    bounds = [_bounds(batch) for batch in batches]
    if bounds:
        sort_finished(session, min(first for first, _ in bounds), max(end for _, end in bounds))
    session.use_one_thread()


def append_batches(session: Session, batches: Sequence[Batch], *, spare_memory: bool = False) -> list[Appended]:
    """Appends inside the transaction of the caller; see `append_to_store`.

    ``spare_memory`` limits DuckDB's memory, to leave enough for the parsers that run meanwhile.
    """
    return [row for batch in batches for row in _append(session, batch, spare_memory=spare_memory)]


def symbols_of(batches: Sequence[Batch]) -> set[str]:
    """Returns the symbols of the requests in some batches."""
    return {symbol for batch in batches for symbol in batch.requests["symbol"].to_pylist()}


def _append(session: Session, batch: Batch, *, spare_memory: bool) -> list[Appended]:
    first, last = _bounds(batch)
    with session.tables(incoming=batch.candles, incoming_rejected=batch.rejected, incoming_requests=batch.requests):
        stored = session.run("append/find_stored", first=first, last=last)[0][0]
        if spare_memory:
            # A plain insert needs little memory, so leave it to the parsers; joins with stored rows need the default.
            session.limit_memory(None if stored else "80MB")
        if stored:
            session.run("append/record_revisions")
            session.run("append/remove_replaced", first=first, last=last)
        session.run("append/insert_candles" if stored else "append/insert_all_candles")
        if batch.rejected.num_rows:
            session.run("append/insert_rejected")
        session.run("append/find_continued")
        session.run("append/count_requests")
        session.run("append/insert_requests")
        appended = [Appended(*row) for row in session.run("append/outcomes")]
    if session.run("append/count_continued")[0][0]:
        # Following the market adds one minute per append; one ledger row per day is enough evidence.
        session.run("append/continue_candles", first=first, last=last)
        session.run("append/continue_rejected")
        session.run("append/continue_revisions")
        session.run("append/continue_requests")
        session.run("append/delete_continued")
    return appended


def _bounds(batch: Batch) -> tuple[datetime, datetime]:
    firsts, lasts = batch.requests["first_minute"].to_pylist(), batch.requests["last_minute"].to_pylist()
    return min(firsts), max(lasts)
