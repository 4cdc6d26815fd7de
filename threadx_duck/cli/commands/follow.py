"""``threadx follow`` keeps stored symbols up to date until somebody stops it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from threadx_duck.cli.context import App, ExitCode, counted, json_option, pass_app, symbols_argument
from threadx_duck.cli.output import print_json
from threadx_duck.cli.values import read_age
from threadx_duck.download.results import Notes
from threadx_duck.exchange.waits import Wait
from threadx_duck.follow import Follower, PublishSchedule
from threadx_duck.ingest import IngestionManager


@click.command()
@symbols_argument
@click.option("--once", is_flag=True, help="Catch up once and end: for cron.")
@click.option(
    "--publish-every",
    default="15m",
    show_default=True,
    metavar="AGE",
    help="How old [data.store] read_copy may get, such as 5m or 1h.",
)
@json_option
@pass_app
def follow(app: App, symbols: tuple[str, ...], publish_every: str, *, once: bool, as_json: bool) -> None:
    """Keep stored symbols up to the last closed minute until stopped.

    Without SYMBOL, every stored one. Wakes when a minute has closed by the exchange's clock, asks for all
    symbols within the request budget, and holds the store only while it writes. Network losses are waited
    out; whatever was missed comes with the next round. The read copy is renewed on a schedule, and once
    more at the end. Ends with 0 on SIGTERM, with 130 on Ctrl-C. With --json, one document at the end of --once,
    and on SIGTERM.

    \b
    Examples:
      threadx follow
      threadx follow BTCUSDC ETHUSDC --once
    """
    settings = app.settings
    # Not after each ingest, as the settings say: that would copy the store every minute.
    unpublished = replace(settings, store=replace(settings.store, read_copy=""))
    every = read_age(publish_every)
    with IngestionManager(unpublished, progress=_Sparing(app)) as manager:
        publish = PublishSchedule(manager.store, settings.store, every, app.note)
        follower = Follower(manager, symbols, note=app.note, after_round=publish)
        follower.require_stored()
        if once:
            is_well = follower.run_round()
            if as_json:
                print_json({"is_up_to_date": is_well, "rows_added": follower.rows_added})
            app.note(f"{counted(follower.rows_added, 'candle')} added.")
            app.end(ExitCode.DONE if is_well else ExitCode.FAILED)
        names = ", ".join(manager.store.named(symbols)) or f"{counted(len(manager.stored_symbols()), 'stored symbol')}"
        app.note(f"Following {names}; stop with Ctrl-C.")
        with _stopped_by_sigterm(follower), _published_at_the_end(publish):
            follower.run()
        if as_json:
            print_json({"rows_added": follower.rows_added})


class _Sparing(Notes):
    """Passes a note on unless it is the one before again: a round a minute has the same things to say."""

    def __init__(self, app: App) -> None:
        super().__init__(app.note)
        self._last = ""

    def note(self, text: str) -> None:
        """Passes a message on, once."""
        if text != self._last:
            super().note(text)
        self._last = text

    def waiting(self, wait: Wait) -> None:
        """Passes a wait on that a host asks for. That none answers, the follower says itself, once."""
        if wait.is_answered:
            super().waiting(wait)


@contextmanager
def _published_at_the_end(publish: PublishSchedule) -> Iterator[None]:
    """Publishes after either signal has stopped the code inside, but not after that code has failed."""
    try:
        yield
    except KeyboardInterrupt:
        publish.finish()
        raise
    publish.finish()


@contextmanager
def _stopped_by_sigterm(follower: Follower) -> Iterator[None]:
    def stop(*_: Any) -> None:
        follower.stop()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
