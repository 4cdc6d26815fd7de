"""The version of a store's tables, macros and views, and the upgrade of a store of an earlier version.

Every change of tables, macros or views raises `SCHEMA_VERSION` by one. An upgrade runs all definition files again,
which adds a new table and replaces a changed view. A change that a definition cannot make, such as a new column of
an existing table, needs a statement in ``sql/upgrades/``; `STEPS` lists it under the version it leads to. Upgrades
remove nothing but secrets and native candles off their grid: candles, their evidence and everything that people have
added to the store stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from threadx_duck.candles.times import utc_now

if TYPE_CHECKING:
    from threadx_duck.storage.session import Session

SCHEMA_VERSION = 3

# Names of statements by the version they lead to; they run before the definition files.
STEPS: dict[int, tuple[str, ...]] = {
    3: ("upgrades/forget_users", "upgrades/forget_off_grid_requests", "upgrades/forget_off_grid_natives"),
}


def bring_up_to_date(
    session: Session, version: int | None, market: str, define_schema: Callable[[Session], None]
) -> None:
    """Creates the schema of a new store, or upgrades that of any earlier version, in one transaction."""
    with session.transaction():
        if version is not None:
            for step in range(version + 1, SCHEMA_VERSION + 1):
                for name in STEPS.get(step, ()):
                    session.run(name)
        define_schema(session)
        session.run("store/set_store_info", version=SCHEMA_VERSION, market=market, now=utc_now())
