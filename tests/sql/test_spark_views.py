"""``sql/spark``: the views of ``sql/views`` in Spark's words. `tests.clients` runs it in Spark."""

from __future__ import annotations

import pytest

from threadx_duck.candles.timeframes import ONE_MINUTE, TIMEFRAMES, Timeframe
from threadx_duck.storage.sqlfiles import list_sql

WIDTHS = [timeframe for timeframe in TIMEFRAMES.values() if timeframe.label not in {"1m", "1mo"}]
NAMES = sorted({timeframe.view for timeframe in TIMEFRAMES.values()} - {ONE_MINUTE.view} | {"coverage"})


def test_spark_has_every_view_but_the_one_that_needs_the_ledger() -> None:
    assert [file.relation for file in list_sql("spark")] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_view_of_spark_has_our_columns_and_nothing_that_spark_lacks(name: str) -> None:
    (ours,) = [file for file in list_sql("views") if file.relation == name]
    (spark,) = [file for file in list_sql("spark") if file.relation == name]
    assert list(spark.columns) == list(ours.columns)
    assert spark.statement.startswith(f"create or replace temporary view {name} as\nselect\n")
    for word in ("time_bucket", "arg_m", "date_diff", "date_trunc", "::", "timestampdiff", ",\nfrom"):
        assert word not in spark.statement


@pytest.mark.parametrize("timeframe", WIDTHS, ids=lambda timeframe: timeframe.label)
def test_view_of_spark_expects_the_minutes_of_its_width(timeframe: Timeframe) -> None:
    (spark,) = [file for file in list_sql("spark") if file.relation == timeframe.view]
    assert f" {timeframe.minutes}L as expected_minutes,\n" in spark.statement
