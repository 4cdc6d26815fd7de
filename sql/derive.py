"""Writes the derived candles from one model: the views, the rule inside the macros, and the Spark files.

``python sql/derive.py`` writes them, ``python sql/derive.py --check`` exits with 1 if any file differs.

A view must stand alone, because a macro does not resolve through ``ATTACH``; a Spark user must be able to paste one
file. So the rule stands in many files, and here once. Edit `RULE`, `COLUMNS` or `TITLES`, then run this script.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

SQL = Path(__file__).resolve().parent

# Width and title of each view. The exchange publishes no 3h, and anchors its 3d at each symbol's listing day.
TITLES = {
    "3m": ("3 minutes", "3-minute candles; equal to the exchange's own."),
    "5m": ("5 minutes", "5-minute candles; equal to the exchange's own."),
    "15m": ("15 minutes", "15-minute candles; equal to the exchange's own."),
    "30m": ("30 minutes", "30-minute candles; equal to the exchange's own."),
    "1h": ("1 hour", "1-hour candles; equal to the exchange's own."),
    "2h": ("2 hours", "2-hour candles; equal to the exchange's own."),
    "3h": ("3 hours", "3-hour candles, by the rule of the exchange's own, which has none of this width."),
    "4h": ("4 hours", "4-hour candles; equal to the exchange's own."),
    "6h": ("6 hours", "6-hour candles; equal to the exchange's own."),
    "8h": ("8 hours", "8-hour candles; equal to the exchange's own."),
    "12h": ("12 hours", "12-hour candles; equal to the exchange's own."),
    "1d": ("1 day", "1-day candles; equal to the exchange's own."),
    "3d": (
        "3 days",
        "3-day candles, on a fixed grid from 2000-01-03; the exchange anchors its own at each symbol's listing day.",
    ),
    "1w": ("1 week", "1-week candles, opening on Monday; equal to the exchange's own."),
    "1mo": ("1 month", "1-month candles, opening on the 1st; equal to the exchange's own."),
}

COLUMNS = """\
-- Columns:
--   symbol: the exchange's string, such as BTCUSDC
--   open_time: start of the candle, UTC
--   open: first price of the minutes that traded, in the quote asset; if none traded, the close
--   high: highest price of the minutes that traded, in the quote asset; if none traded, the close
--   low: lowest price of the minutes that traded, in the quote asset; if none traded, the close
--   close: last price of the minutes that traded, in the quote asset; if none traded, the last close
--   volume: amount traded, in the base asset
--   quote_volume: amount traded, in the quote asset; empty if unknown for any minute
--   trade_count: number of trades; empty if unknown for any minute
--   taker_buy_volume: part of volume bought by takers, in the base asset; empty if unknown for any minute
--   taker_buy_quote_volume: part of quote_volume bought by takers; empty if unknown for any minute
--   minutes: number of one-minute candles present
--   expected_minutes: number of minutes in the width of the candle
--   is_complete: whether every minute is present; the candle of an outage lacks some, and so does the exchange's
"""

# How the minutes of a bucket become one candle. Measured on 2.8 million buckets of the exchange.
RULE = """\
coalesce(arg_min(open, case when volume > 0 then open_time end), arg_max(close, open_time)) as open,
coalesce(max(case when volume > 0 then high end), arg_max(close, open_time)) as high,
coalesce(min(case when volume > 0 then low end), arg_max(close, open_time)) as low,
coalesce(arg_max(close, case when volume > 0 then open_time end), arg_max(close, open_time)) as close,
sum(volume) as volume,
-- sum() skips nulls, and a partial sum would pass for the whole.
case when count(quote_volume) = count(*) then sum(quote_volume) end as quote_volume,
case when count(trade_count) = count(*) then sum(trade_count)::bigint end as trade_count,
case when count(taker_buy_volume) = count(*) then sum(taker_buy_volume) end as taker_buy_volume,
case when count(taker_buy_quote_volume) = count(*) then sum(taker_buy_quote_volume) end
    as taker_buy_quote_volume,
"""

VIEW = """\
-- candles_{label}: {title}
-- Written by sql/derive.py.
{columns}\
create or replace view candles_{label} as
select
    symbol,
    {start} as open_time,
    -- A minute without trades repeats the last close; the exchange leaves it out of its higher timeframes.
{rule}\
    count(*) as minutes,
    date_diff(
        'minute',
        {start},
        {start} + interval '{width}'
    ) as expected_minutes,
    count(*) = expected_minutes as is_complete,
from candles_1m
group by symbol, {start}
"""

SPARK = """\
-- candles_{label}: {title}
-- Written by sql/derive.py. Spark SQL, over a view or table candles_1m on exported candles; docs/spark.md says how.
{columns}\
create or replace temporary view candles_{label} as
select
    symbol,
    {start} as open_time,
    -- A minute without trades repeats the last close; the exchange leaves it out of its higher timeframes.
{rule}\
    count(*) as minutes,
    {minutes} as expected_minutes,
    count(*) = expected_minutes as is_complete
from candles_1m
group by symbol, {group}
"""

_SPARK_WORDS = (
    (r"arg_(min|max)\(", r"\1_by("),
    (r"sum\(trade_count\)::bigint", "cast(sum(trade_count) as bigint)"),
)
_UNITS = {"minute": 1, "hour": 60, "day": 1_440, "week": 10_080}

# Macros that roll up minutes of their own: the rule stands in them between `symbol, bucket` and `minutes`.
MACROS = ("candles", "candles_filled")
_RULE_IN_MACRO = re.compile(r"^ *coalesce\(arg_min\(open, .*?^ +as taker_buy_quote_volume,\n", re.DOTALL | re.MULTILINE)


def view(label: str) -> str:
    """Returns the text of ``sql/views/candles_<label>.sql``."""
    width, title = TITLES[label]
    start = f"time_bucket(interval '{width}', open_time)"
    return VIEW.format(label=label, title=title, columns=COLUMNS, start=start, width=width, rule=_indented(RULE, 4))


def spark(label: str) -> str:
    """Returns the text of ``sql/spark/candles_<label>.sql``."""
    width, title = TITLES[label]
    rule = _indented(RULE, 4)
    for ours, theirs in _SPARK_WORDS:
        rule = re.sub(ours, theirs, rule)
    # Spark's windows count from 1970, a Thursday, and know no months.
    day = f"trunc(open_time, '{width.removeprefix('1 ')}')" if width in {"1 week", "1 month"} else ""
    start = f"cast({day} as timestamp_ntz)" if day else f"window(open_time, '{width}').start"
    return SPARK.format(
        label=label,
        title=title,
        columns=COLUMNS,
        start=start,
        rule=rule,
        minutes=_minutes(width, day),
        group=day or start,
    )


def macro(name: str) -> str:
    """Returns the text of ``sql/macros/<name>.sql`` with the rule of this file."""
    text = (SQL / "macros" / f"{name}.sql").read_text(encoding="utf-8")
    return _RULE_IN_MACRO.sub(lambda _: _indented(RULE, 8), text, count=1)


def files() -> dict[Path, str]:
    """Returns every file that this script writes, with its text."""
    texts = {SQL / "views" / f"candles_{label}.sql": view(label) for label in TITLES}
    texts |= {SQL / "spark" / f"candles_{label}.sql": spark(label) for label in TITLES}
    return texts | {SQL / "macros" / f"{name}.sql": macro(name) for name in MACROS}


def differing() -> list[str]:
    """Returns the names of the files that differ from what this script writes."""
    return [
        str(path.relative_to(SQL.parent))
        for path, text in files().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def _indented(text: str, spaces: int) -> str:
    return "".join(f"{' ' * spaces}{line}" for line in text.splitlines(keepends=True))


def _minutes(width: str, day: str) -> str:
    """Returns the Spark expression for the minutes of a candle, as a BIGINT."""
    if width == "1 month":
        return f"1440L * datediff(add_months({day}, 1), {day})"
    number, unit = width.split()
    return f"{int(number) * _UNITS[unit.removesuffix('s')]}L"


def main() -> int:
    """Writes the files, or compares them."""
    found = differing()
    if "--check" in sys.argv[1:]:
        for name in found:
            sys.stderr.write(f"{name} differs from the model. Run: python sql/derive.py\n")
        return bool(found)
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
