"""What other engines read: the tree of a store with real candles, or made ones where the real are not at hand.

Both have gaps, minutes without trades, and quote volumes that are unknown for some minutes.
"""

from pathlib import Path

import duckdb

from threadx_duck import IngestionManager, get_settings

ROOT = Path(__file__).resolve().parents[3]
REAL = ROOT.parent / "shared" / "realdata" / "candles_1m.parquet"
KIND = "real" if REAL.exists() else "made"

MADE = """
    copy (
        select
            'MADE' || number % 2 as symbol,
            timestamp '2023-12-30 07:11:00' + interval 1 minute * (number // 2) as open_time,
            100 + sin(number) as open, 102 + cos(number) as high, 98 + sin(number) as low, 100 + cos(number) as close,
            (hash(number) % 2)::double as volume,
            case when number < 150000 then 100 * volume end as quote_volume,
        from range(200000) as numbers (number)
        where hash(number // 500) % 10 > 0
    ) to '{path}' (format parquet)
"""
ODDITIES = """
    select
        count(*) filter (not is_complete) as incomplete,
        count(*) filter (quote_volume is null) as unknown,
        count(*) filter (quote_volume is not null) as known,
        (select count(*) from candles_1m where volume = 0) as untraded,
    from candles_1h
"""
DIFFERENT = """
    select count(*) as rows_of_both, count(*) filter (not coalesce({equal}, false)) as different
    from {view} as ours
    full join read_parquet('{written}') as theirs on {key}
"""
EXACT = "ours.{0} is not distinct from theirs.{0}"
# Sums depend on the order of the summands in their last digits.
CLOSE = """
    (ours.{0} is null) = (theirs.{0} is null)
    and coalesce(abs(ours.{0} - theirs.{0}) <= 1e-9 + 1e-12 * ours.{0}, true)
"""
SUMS = {"volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"}


def make_tree(folder):
    """The path of a store with these candles, and the folder of its tree."""
    (folder / "paths.toml").write_text('[data.archive]\nenabled = false\n[data.api]\nbase_url = "http://127.0.0.1:9"\n')
    source = REAL
    if not REAL.exists():
        source = folder / "made.parquet"
        duckdb.execute(MADE.format(path=source))
    with IngestionManager(get_settings(folder / "paths.toml")) as manager:
        assert all(result.error is None for result in manager.import_files([source]).values())
        manager.export(folder / "tree", partition=True)
        path = manager.store.path
    with duckdb.connect(str(path), read_only=True) as store:
        odd = store.execute(ODDITIES).fetchone()
        assert all(odd), odd
    return path, folder / "tree"


def types_of(store, source):
    return {row[0]: row[1] for row in store.execute(f"describe from {source}").fetchall()}


def compare(store, view, written, columns, key):
    """How many rows both have together; `AssertionError` if one differs."""
    equal = " and ".join((CLOSE if name in SUMS else EXACT).format(name) for name in columns)
    rows, different = store.execute(DIFFERENT.format(equal=equal, view=view, written=written, key=key)).fetchone()
    assert different == 0, f"{view}: {different} of {rows} rows differ"
    return rows
