"""Arrow arrays of Python values: the same as pyarrow's own, and no pandas for them."""

import subprocess
import sys
from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadx_duck.candles.arrays import integers, rows, texts, time
from threadx_duck.ledger.requests import REQUEST_SCHEMA

WITHOUT_PANDAS = """
import sys
from threadx_duck.candles.klines import read_kline_rows
row = [1735689600000, "1", "2", "0.5", "1", "3", 1735689659999, "3", 2, "1", "1", "0"]
assert read_kline_rows("BTCUSDC", [row]).candles.num_rows == 1
from threadx_duck.candles.arrays import rows
from threadx_duck.ledger.requests import REQUEST_SCHEMA
assert rows([{"request_id": 1, "symbol": "BTCUSDC"}], REQUEST_SCHEMA).num_rows == 1
sys.exit("pandas" in sys.modules)
"""


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_are_those_of_arrow(values: list[int]) -> None:
    assert integers(values) == pa.array(values, pa.int64())


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_texts_are_those_of_arrow(values: list[str]) -> None:
    assert texts(values) == pa.array(values, pa.string())


@settings(deadline=None)
@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_time_is_that_of_arrow(value: datetime) -> None:
    assert time(value) == pa.scalar(value, pa.timestamp("us"))


@pytest.mark.parametrize("value", [1.0, 1.5, "1", None, True, [1]])
def test_anything_but_whole_numbers_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        integers([1, value])


def test_number_beyond_64_bits_is_refused() -> None:
    with pytest.raises(OverflowError):
        integers([2**63])


@pytest.mark.parametrize("value", [1.0, 1, b"1", None, ["1"]])
def test_anything_but_texts_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="no text"):
        texts(["1", value])


@settings(deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "request_id": st.integers(0, 2**63 - 1),
                "symbol": st.sampled_from(["BTCUSDC", "币安人生USDT", 'a"b\\']),
                "range_start": st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)),
                "rows_received": st.none() | st.integers(0, 10**9),
                "seconds": st.floats(0, 1e6),
            }
        ),
        max_size=5,
    )
)
def test_rows_are_those_of_arrow(values: list[dict[str, object]]) -> None:
    assert rows(values, REQUEST_SCHEMA) == pa.Table.from_pylist(values, REQUEST_SCHEMA)


def test_pandas_is_not_imported() -> None:
    pytest.importorskip("pandas")
    subprocess.run([sys.executable, "-c", WITHOUT_PANDAS], check=True, timeout=60)
