"""How numbers are written: sums without noise, stored values as they are, decimals down a column."""

from __future__ import annotations

import io
import tempfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadx_duck.cli.numbers import even_texts, pointed_texts, without_noise, without_noise_of
from threadx_duck.cli.rows import write_rows

# A sum as DuckDB adds it, and another that is nobody's decimal.
NOISY = 7.559309999999998
AVERAGE = 57123.456789123455


def _cleared(*values: float | None) -> list[float | None]:
    return without_noise(pa.table({"x": pa.array(values, pa.float64())}))["x"].to_pylist()  # type: ignore[no-any-return]


def test_a_sum_loses_what_adding_left_behind() -> None:
    assert _cleared(NOISY, 0.1 + 0.2, -NOISY) == [7.55931, 0.3, -7.55931]
    assert without_noise_of({"symbol": "A", "volume": NOISY, "count": 3}) == {
        "symbol": "A",
        "volume": 7.55931,
        "count": 3,
    }


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 10**7), min_size=2, max_size=1440), st.integers(0, 5))
def test_the_sum_of_decimals_is_a_decimal(parts: list[int], places: int) -> None:
    whole = sum(parts) / 10**places
    assert _cleared(sum(part / 10**places for part in parts)) == [whole]


@pytest.mark.parametrize(
    "value", [AVERAGE, 1 / 3, 1e-9, 1.23456789e-7, 5e-324, 1e308, float("inf"), 123456789.12345678, 0.0]
)
def test_other_numbers_stay_what_they_are(value: float) -> None:
    assert _cleared(value, None) == [value, None]


@settings(deadline=None, max_examples=50)
@given(st.integers(-(10**18), 10**18))
def test_a_number_of_eight_decimals_stays_what_it_is(units: int) -> None:
    value = float(Decimal(units).scaleb(-8))
    assert _cleared(value) == [value]


@settings(deadline=None, max_examples=50)
@given(st.integers(2**50, 2**52))
def test_a_number_of_eight_decimals_stays_what_it_is_where_doubles_are_sparse(units: int) -> None:
    value = float(Decimal(units).scaleb(-8))
    assert _cleared(value) == [value]


def test_text_forms_write_sums_short_and_binary_forms_every_bit(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    table = pa.table({"volume": [NOISY, AVERAGE]})
    write_rows(table, "csv", None)
    write_rows(table, "json", None)
    assert capsysbinary.readouterr().out == (
        b'volume\n7.55931\n57123.456789123455\n[\n{"volume":7.55931},\n{"volume":57123.456789123455}\n]\n'
    )
    write_rows(table, "parquet", tmp_path / "x.parquet")
    assert pq.read_table(tmp_path / "x.parquet").equals(table)


def test_stored_values_are_written_with_every_digit(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    table = pa.table({"volume": [NOISY, 123456789.12345678]})
    write_rows(table, "csv", None, is_stored=True)
    assert pacsv.read_csv(io.BytesIO(capsysbinary.readouterr().out)).equals(table)


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.none() | st.floats(allow_nan=False)
        ),
        min_size=1,
    )
)
def test_csv_reads_back(rows: list[tuple[str | None, float | None]]) -> None:
    texts, numbers = zip(*rows, strict=True)
    table = pa.table({"a": pa.array(texts, pa.string()), "x": pa.array(numbers, pa.float64())})
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.csv"
        write_rows(table, "csv", file, is_stored=True)
        read = pacsv.read_csv(
            file,
            convert_options=pacsv.ConvertOptions(
                column_types=table.schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )
    assert read.equals(table)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([43318.55, 0.1, None], ["43318.55", "0.10", ""]),
        ([12345.5, 1e-8], ["12345.50000000", "0.00000001"]),
        ([123456789012.12, 0.125], ["123456789012.120", "0.125"]),
        ([60.0, 61.0], ["60", "61"]),
        ([1_234_567, 5], ["1,234,567", "5"]),
        ([4448088538937908268], ["4448088538937908268"]),
        ([Decimal(12345), Decimal(1)], ["12,345", "1"]),
        ([Decimal("1.50"), Decimal("12.25")], ["1.50", "12.25"]),
        ([1.5, float("inf"), float("nan")], ["1.5", "inf", "nan"]),
        ([1e300, 1.5], ["1e+300", "1.5  "]),
    ],
)
def test_decimals_are_the_same_down_a_column(values: list[float], texts: list[str]) -> None:
    assert [text.strip() for text in even_texts(values)] == [text.strip() for text in texts]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_a_table_shows_each_number_exactly(values: list[float]) -> None:
    assert [float(text) for text in even_texts(values)] == values


def test_numbers_of_several_fields_stand_point_below_point() -> None:
    assert pointed_texts([43318.55, 1234, None, NOISY]) == [
        "43318.55             ",
        "1,234                ",
        "",
        "7.559309999999998",
    ]
