"""The version of a store's tables, macros and views, and how a store of an earlier one gets there.

Whatever changes tables, macros or views raises `SCHEMA_VERSION` by one. What is defined by a file of its own, such as
a new table or a changed view, comes with that. What a definition cannot bring, such as a new column of an existing
table, is a statement in ``sql/upgrades/`` that `STEPS` names under the version it leads to. Upgrades take nothing
away but secrets: candles and evidence stay, and so does whatever people have put into the store.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from threadx_duck.candles.times import utc_now

if TYPE_CHECKING:
    from threadx_duck.storage.session import Session

SCHEMA_VERSION = 3

# Names of statements by the version they lead to; they run before everything is defined anew.
STEPS: dict[int, tuple[str, ...]] = {3: ("upgrades/forget_users",)}


def bring_up_to_date(
    session: Session, version: int | None, market: str, define_schema: Callable[[Session], None]
) -> None:
    """Makes a new store's schema, or leads that of any earlier version to this one: everything or nothing."""
    with session.transaction():
        if version is not None:
            for step in range(version + 1, SCHEMA_VERSION + 1):
                for name in STEPS.get(step, ()):
                    session.run(name)
        define_schema(session)
        session.run("store/set_store_info", version=SCHEMA_VERSION, market=market, now=utc_now())
