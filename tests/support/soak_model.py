"""What must be true of the files of a soak, asked in SQL of the files themselves; answers with what is wrong."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from threadx_duck.audit.checks import run_checks
from threadx_duck.candles.klines import VALUE_FIELDS
from threadx_duck.config import StoreSettings
from threadx_duck.storage.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

VALUES = tuple(column.name for column in VALUE_FIELDS)

# What each file holds, by table: the number of rows and the sum of their hashes.
Digest = dict[str, tuple[int, int]]

_SAME_VALUES = " and ".join(f"theirs.{name} is not distinct from ours.{name}" for name in VALUES)

# What is defined in a file besides its rows: what of it, where DuckDB lists it.
_DEFINED = (
    ("views", "view_name, sql, comment", "duckdb_views()"),
    ("macros", "function_name, parameters, macro_definition", "duckdb_functions()"),
    ("columns", "table_name, column_name, data_type, is_nullable, comment", "duckdb_columns()"),
)

# Each counts rows that must not be; `truth` is what the exchange and the imported files hold.
_RULES = {
    "stored twice": """
        select count(*) from (from store.candles_1m select symbol, open_time group by all having count(*) > 1)""",
    "candles without their request": """
        select count(*) from store.candles_1m anti join store.requests using (request_id)""",
    "candles with other values than the exchange's": f"""
        select count(*) from store.candles_1m as ours
        anti join truth as theirs on theirs.symbol = ours.symbol and theirs.open_time = ours.open_time
            and (theirs.is_current or $old_allowed) and {_SAME_VALUES}""",
    "candles lost": """
        select count(*) from earlier
        anti join store.candles_1m using (symbol, open_time)
        where not exists (
            from removed
            where removed.symbol = earlier.symbol and open_time >= range_start and open_time < range_end
        )""",
    "holes in conclusive ranges": """
        select count(*) from (
            select distinct truth.symbol, truth.open_time
            from truth
            inner join store.requests as request
                on request.symbol = truth.symbol and open_time >= range_start and open_time < range_end
            where timeframe = '1m' and truth.is_current
        )
        anti join store.candles_1m using (symbol, open_time)""",
    "revisions that are not true": f"""
        select count(*) from store.revisions as revision
        anti join truth as old
            on old.symbol = revision.symbol and old.open_time = revision.open_time and old.is_current <> applied
            and {" and ".join(f"old.{name} is not distinct from old_{name}" for name in VALUES)}""",
    "revisions that replaced by something else": f"""
        select count(*) from store.revisions as revision
        anti join truth as new
            on new.symbol = revision.symbol and new.open_time = revision.open_time and new.is_current
            and {" and ".join(f"new.{name} is not distinct from new_{name}" for name in VALUES)}
        where applied""",
    "minutes revised twice": """
        select count(*) from (
            from store.revisions select symbol, open_time where applied group by all having count(*) > 1
        )""",
    "rejected rows that are not the exchange's": """
        select count(*) from store.rejected_rows anti join odd using (symbol, minute)""",
}


@contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A file, to be read through a plain connection."""
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        yield connection


def digest_of(path: Path) -> Digest:
    """What a file holds: its tables, and its views, macros and columns with their comments."""
    with opened(path) as connection:
        names = [
            row[0]
            for row in connection.execute("select table_name from duckdb_tables() order by all").fetchall()
            if row[0] != "store_info"
        ]
        found = {
            name: connection.execute(f"select count(*), coalesce(sum(hash(t)::hugeint), 0) from {name} as t").fetchone()
            for name in names
        }
        for what, values, relation in _DEFINED:
            found[what] = connection.execute(
                f"select count(*), sum(hash({values})::hugeint) from {relation} where not internal"
            ).fetchone()
    return {name: (int(row[0]), int(row[1] or 0)) for name, row in found.items() if row is not None}


def differing(ours: Digest, theirs: Digest) -> list[str]:
    """The tables in which two files differ."""
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


@dataclass
class Model:
    """What the exchange and the files have told, and what was stored when somebody last looked."""

    store: Path
    old_allowed: bool = False
    _connection: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect, init=False, repr=False)

    def __post_init__(self) -> None:
        values = ", ".join(f"{entry.name} {_sql_type(entry.type)}" for entry in VALUE_FIELDS)
        for statement in (
            f"create table truth (symbol varchar, open_time timestamp, {values}, is_current boolean)",
            "create table earlier (symbol varchar, open_time timestamp)",
            "create table removed (symbol varchar, range_start timestamp, range_end timestamp)",
            "create table odd (symbol varchar, minute timestamp)",
        ):
            self._connection.execute(statement)

    def close(self) -> None:
        self._connection.close()

    def tell(self, symbol: str, candles: pa.Table) -> None:
        """Takes candles for the truth; those told earlier of the same minutes become old ones where they differ."""
        listed = ", ".join(VALUES)
        with self._registered(candles):
            self._connection.execute(
                f"""update truth as theirs set is_current = false from told as ours
                where theirs.symbol = $1 and theirs.open_time = ours.open_time and not ({_SAME_VALUES})""",
                [symbol],
            )
            self._connection.execute(
                f"""insert into truth
                select $1, open_time, {listed}, true from told as ours
                where time_bucket(interval 1 minute, open_time) = open_time and not exists (
                    from truth as theirs
                    where theirs.symbol = $1 and theirs.open_time = ours.open_time and is_current
                )""",
                [symbol],
            )
            self._connection.execute(
                """insert into odd select $1, time_bucket(interval 1 minute, open_time) from told
                where time_bucket(interval 1 minute, open_time) <> open_time""",
                [symbol],
            )

    def remember(self) -> None:
        """Whatever is stored now must still be there later."""
        self._connection.execute("delete from earlier")
        if self.has_store:
            with self._attached(self.store):
                self._connection.execute("insert into earlier select symbol, open_time from store.candles_1m")

    @property
    def stored(self) -> int:
        """How many candles were stored when they were last remembered."""
        return int(self._rows("select count(*) from earlier")[0][0])

    @property
    def has_store(self) -> bool:
        return self.store.exists() and Store(StoreSettings(database=self.store)).info() is not None

    def removing(self, symbol: str, start: datetime, end: datetime) -> None:
        """From now on the candles of a range may be missing: all of them, or none."""
        self._connection.execute("insert into removed values (?, ?, ?)", [symbol, start, end])

    def refilled(self) -> None:
        """Nothing may be missing any more."""
        self._connection.execute("delete from removed")

    def wrong(self, path: Path | None = None) -> list[str]:
        """What is wrong in the store, or in a copy of it, which may be older."""
        path = path or self.store
        if path == self.store and not self.has_store:
            return ["the store is gone"] if self.stored else []
        found: list[str] = []
        with self._attached(path):
            for what, statement in _RULES.items():
                if what == "candles lost" and path != self.store:
                    continue
                parameters = {"old_allowed": self.old_allowed or path != self.store} if "$" in statement else {}
                count = self._connection.execute(statement, parameters).fetchall()[0][0]
                if count:
                    found.append(f"{path.name}: {what}: {count}")
        return found + self._checked(path)

    def lacking(self, symbol: str, start: datetime, end: datetime) -> list[str]:
        """What a finished command should have stored of a range and has not."""
        with self._attached(self.store):
            count = self._rows(
                """select count(*) from truth anti join store.candles_1m using (symbol, open_time)
                where symbol = ? and is_current and open_time >= ? and open_time < ?""",
                symbol, start, end,
            )[0][0]  # fmt: skip
        return [f"a finished command left out {count} candles of {symbol}"] if count else []

    def half_removed(self) -> list[str]:
        """What is wrong with the removed ranges: partly there, or their evidence is."""
        with self._attached(self.store):
            rows = self._rows(
                """select
                    (select count(*) from earlier as e where e.symbol = r.symbol
                        and open_time >= range_start and open_time < range_end),
                    (select count(*) from store.candles_1m as c where c.symbol = r.symbol
                        and open_time >= range_start and open_time < range_end),
                    (select count(*) from store.requests as q where q.symbol = r.symbol and timeframe = '1m'
                        and q.range_start < r.range_end and q.range_end > r.range_start),
                from removed as r"""
            )
        return [
            f"half removed: {stored} of {before} candles, {requests} requests"
            for before, stored, requests in rows
            if stored not in {0, before} or (not stored and before and requests)
        ]

    def count(self, statement: str) -> int:
        """The number that a statement on ``store`` gives."""
        with self._attached(self.store):
            return int(self._rows(statement)[0][0])

    def not_within(self, part: Path) -> list[str]:
        """Candles of a file that the store does not hold just so."""
        with self._attached(self.store):
            self._connection.execute(f"attach '{part}' as part (read_only)")
            try:
                tables = {
                    row[0] for row in self._rows("select table_name from duckdb_tables() where database_name = 'part'")
                }
                names = [name for name in ("candles_1m", "requests", "rejected_rows", "revisions") if name in tables]
                counts = {
                    name: self._rows(f"select count(*) from (from part.{name} except all from store.{name})")[0][0]
                    for name in names
                }
            finally:
                self._connection.execute("detach part")
        found = [
            f"{part.name}: {count} rows of {name} that the store does not hold"
            for name, count in counts.items()
            if count
        ]
        return found + ([f"{part.name} is no store"] if not names else [])

    def _checked(self, path: Path) -> list[str]:
        found = []
        for finding in run_checks(Store(StoreSettings(database=path))):
            rows = finding.rows.to_pylist()
            if finding.name == "unexplained_gap":
                rows = [row for row in rows if not self._is_expected(row)]
            if rows:
                found.append(f"{path.name}: {finding.name}: {len(rows)} rows, the first {rows[0]}")
        return found

    def _is_expected(self, gap: dict[str, Any]) -> bool:
        if gap["reason"] == "rejected":
            found = self._rows(
                "select count(*) from odd where symbol = ? and minute = ?", gap["symbol"], gap["open_time"]
            )
            return bool(found[0][0] and gap["missing"] == 1)
        found = self._rows(
            "select count(*) from removed where symbol = ? and range_start <= ? and range_end >= ?",
            gap["symbol"], gap["open_time"], gap["gap_end"],
        )  # fmt: skip
        return bool(found[0][0])

    def _rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, list(parameters)).fetchall()

    @contextmanager
    def _attached(self, path: Path) -> Iterator[None]:
        self._connection.execute(f"attach '{path}' as store (read_only)")
        try:
            yield
        finally:
            self._connection.execute("detach store")

    @contextmanager
    def _registered(self, candles: pa.Table) -> Iterator[None]:
        self._connection.register("told", candles)
        yield
        self._connection.unregister("told")


def _sql_type(kind: pa.DataType) -> str:
    return "bigint" if str(kind) == "int64" else "double"
