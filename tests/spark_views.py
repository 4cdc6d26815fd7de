"""``python -m tests.spark_views``: writes ``sql/spark/`` anew: the views of ``sql/views/`` in the words of Spark.

One file a view, readable by itself, so that a Spark user can paste it. `gaps` is not among them: its reasons come
from the ledger, which an exported tree does not have.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VIEWS, SPARK = ROOT / "sql" / "views", ROOT / "sql" / "spark"

_NOTE = "-- Spark SQL, over a view or table candles_1m on exported candles; docs/spark.md says how.\n"
_BUCKET = r"time_bucket\(interval '(\d+ \w+)', open_time\)"
_UNITS = {"minute": 1, "hour": 60, "day": 1_440, "week": 10_080}
_WORDS = (
    (r"create or replace view", "create or replace temporary view"),
    (r"    -- The same as time_bucket, and the cheaper of the two\.\n", ""),
    (r"date_trunc\('hour', open_time\)", "time_bucket(interval '1 hour', open_time)"),
    (rf"date_diff\(\s*'minute',\s*{_BUCKET},\s*{_BUCKET} \+ interval '[^']+'\s*\)", r"<minutes of \1>"),
    # Spark's timestampdiff reads these times in the zone of the session, where an hour may not be.
    (r"date_diff\('minute', (\S+), (\S+)\) ", r"cast(cast(\2 - \1 as interval minute) as bigint) "),
    (r"arg_(min|max)\(", r"\1_by("),
    (r"sum\(trade_count\)::bigint", "cast(sum(trade_count) as bigint)"),
    (r",\nfrom", "\nfrom"),
    (r"the view gaps has", "the store's view gaps has"),
)


def names() -> list[str]:
    """The views that Spark has, too."""
    return sorted(path.stem for path in VIEWS.glob("*.sql") if path.stem != "gaps")


def translated(name: str) -> str:
    """A view in Spark SQL, header included."""
    text = (VIEWS / f"{name}.sql").read_text(encoding="utf-8")
    for ours, theirs in _WORDS:
        text = re.sub(ours, theirs, text)
    text = re.sub("<minutes of (.*?)>", lambda found: _minutes(found[1]), text)
    # Grouped by the day itself, from which the length of its month is reckoned, too.
    text = re.sub(rf"(?<=group by symbol, ){_BUCKET}", lambda found: _day(found[1]) or _start(found[1]), text)
    text = re.sub(_BUCKET, lambda found: _start(found[1]), text)
    title, newline, rest = text.partition("\n")
    return f"{title}{newline}{_NOTE}{rest}"


def _start(width: str) -> str:
    """Where a candle opens."""
    day = _day(width)
    return f"cast({day} as timestamp_ntz)" if day else f"window(open_time, '{width}').start"


def _day(width: str) -> str:
    """The day on which a week or month opens: Spark's windows count from 1970, a Thursday, and know no months."""
    return f"trunc(open_time, '{width.removeprefix('1 ')}')" if width in {"1 week", "1 month"} else ""


def _minutes(width: str) -> str:
    """The minutes of a candle, as a BIGINT."""
    if width == "1 month":
        return f"1440L * datediff(add_months({_day(width)}, 1), {_day(width)})"
    number, unit = width.split()
    return f"{int(number) * _UNITS[unit.removesuffix('s')]}L"


def main() -> None:
    SPARK.mkdir(exist_ok=True)
    for name in names():
        (SPARK / f"{name}.sql").write_text(translated(name), encoding="utf-8")


if __name__ == "__main__":
    main()
