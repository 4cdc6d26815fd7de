"""``threadx follow``: keeps stored symbols up to date until it is stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from threadx_duck.cli.context import App, ExitCode, counted, pass_app, symbols_argument

if TYPE_CHECKING:
    from threadx_duck.following import Follower


@click.command()
@symbols_argument
@click.option("--once", is_flag=True, help="Catch up once and end: for cron.")
@pass_app
def follow(app: App, symbols: tuple[str, ...], *, once: bool) -> None:
    """Keep stored symbols up to the last closed minute until stopped.

    Without SYMBOL, every stored one. Wakes when a minute has closed by the exchange's clock, asks for all
    symbols within the request budget, and holds the store only while it writes. Network losses are waited
    out; whatever was missed comes with the next round. Ends with 0 on SIGTERM, with 130 on Ctrl-C.

    \b
    Examples:
      threadx follow
      threadx follow BTCUSDC ETHUSDC --once
    """
    from threadx_duck.following import Follower
    from threadx_duck.ingest import IngestionManager
    from threadx_duck.results import Progress

    progress = Progress()
    progress.note = _Sparing(app)  # type: ignore[method-assign]
    with IngestionManager(app.settings, progress=progress) as manager:
        follower = Follower(manager, symbols, note=app.note)
        follower.require_stored()
        if once:
            is_well = follower.run_round()
            app.note(f"{counted(follower.rows_added, 'candle')} added.")
            app.end(ExitCode.DONE if is_well else ExitCode.FAILED)
        names = ", ".join(symbols) or f"{counted(len(manager.stored_symbols()), 'stored symbol')}"
        app.note(f"Following {names}; stop with Ctrl-C.")
        with _stopped_by_sigterm(follower):
            follower.run()


class _Sparing:
    """Passes a note on unless it is the one before again: a round a minute has the same things to say."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._last = ""

    def __call__(self, text: str) -> None:
        if text != self._last:
            self._app.note(text)
        self._last = text


@contextmanager
def _stopped_by_sigterm(follower: Follower) -> Iterator[None]:
    def stop(*_: Any) -> None:
        follower.stop()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
