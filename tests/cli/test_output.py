"""Rows on stdout and in files."""

from __future__ import annotations

import csv
import io
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from threadx_duck.cli.main import run
from threadx_duck.cli.output import print_json, print_table
from threadx_duck.cli.rows import write_rows
from threadx_duck.errors import UsageError

ROWS = pa.table(
    {
        "symbol": ["BTCUSDC", 'A,"B'],
        "open_time": pa.array([datetime(2024, 1, 1), datetime(2024, 1, 1, 10, 30, 59, 999_999)], pa.timestamp("us")),
        "close": [12345.5, 1e-8],
        "count": [1_234_567, None],
        "is_complete": [True, False],
    }
)
CSV = (
    "symbol,open_time,close,count,is_complete\n"
    "BTCUSDC,2024-01-01T00:00:00Z,12345.5,1234567,true\n"
    '"A,""B",2024-01-01T10:30:59Z,1e-8,,false\n'
)
JSON = (
    "[\n"
    '{"symbol":"BTCUSDC","open_time":"2024-01-01T00:00:00Z","close":12345.5,"count":1234567,"is_complete":true},\n'
    '{"symbol":"A,\\"B","open_time":"2024-01-01T10:30:59Z","close":1e-8,"count":null,"is_complete":false}\n'
    "]\n"
)


def test_a_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert write_rows(ROWS, None, None) is None
    assert capsys.readouterr().out == (
        "symbol    open_time                      close       count   is_complete\n"
        "────────────────────────────────────────────────────────────────────────\n"
        "BTCUSDC   2024-01-01 00:00:00   12345.50000000   1,234,567           yes\n"
        'A,"B      2024-01-01 10:30:59       0.00000001                        no\n'
    )


@pytest.mark.parametrize(("form", "expected"), [("csv", CSV), ("json", JSON)])
def test_text_forms_go_to_stdout_with_times_in_z(capsys: pytest.CaptureFixture[str], form: str, expected: str) -> None:
    assert write_rows(ROWS, form, None) is None
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [
        pytest.param("rows.csv", None, CSV, id="csv by ending"),
        pytest.param("rows.JSON", None, JSON, id="json by ending"),
        pytest.param("rows.txt", "csv", CSV, id="another ending with a format"),
        pytest.param("rows", None, CSV, id="csv without an ending"),
        pytest.param("rows", "table", CSV, id="csv for a table in a file"),
        pytest.param("rows.csv", "json", JSON, id="format before ending"),
    ],
)
def test_a_file_is_written_in_its_form(tmp_path: Path, name: str, form: str | None, expected: str) -> None:
    assert write_rows(ROWS, form, tmp_path / name) == f"Wrote 2 rows to {tmp_path / name}."
    assert (tmp_path / name).read_text(encoding="utf-8") == expected


def test_a_parquet_file_holds_the_rows_and_types(tmp_path: Path) -> None:
    write_rows(ROWS, None, tmp_path / "rows.parquet")
    assert pq.read_table(tmp_path / "rows.parquet").equals(ROWS)


@pytest.mark.parametrize("name", ["rows.arrow", "rows.feather"])
def test_an_arrow_file_is_a_stream_of_the_rows(tmp_path: Path, name: str) -> None:
    write_rows(ROWS, None, tmp_path / name)
    with (tmp_path / name).open("rb") as file, pa.ipc.open_stream(file) as stream:
        assert stream.read_all().equals(ROWS)


def test_binary_forms_go_to_a_pipe(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    write_rows(ROWS, "parquet", None)
    assert pq.read_table(io.BytesIO(capsysbinary.readouterr().out)).equals(ROWS)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_binary_forms_are_not_for_a_terminal(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(UsageError, match=rf"^{form} is not for a terminal\. Name a file with -o, or pipe it on\.$"):
        write_rows(ROWS, form, None)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^Cannot write .*/none/rows\.csv: No such file or directory\.$"):
        write_rows(ROWS, None, tmp_path / "none" / "rows.csv")


def test_a_long_table_shows_its_last_rows_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    note = write_rows(pa.table({"n": range(1_500)}), None, None)
    assert note == "The last 1,000 of 1,500 rows; --format csv prints all."
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[2].strip(), lines[-1].strip()) == (1_002, "500", "1,499")


@pytest.mark.parametrize(("form", "expected"), [("csv", "n\n"), ("json", "[\n]\n"), (None, "n\n─\n")])
def test_no_rows_are_a_heading_or_an_empty_list(
    capsys: pytest.CaptureFixture[str], form: str | None, expected: str
) -> None:
    write_rows(pa.table({"n": pa.array([], pa.int64())}), form, None)
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("statement", "as_csv", "as_json"),
    [
        pytest.param("select [1, 2] as x", '"[1,2]"', [1, 2], id="list"),
        pytest.param("select {'a': 1} as x", '"{""a"":1}"', {"a": 1}, id="struct"),
        pytest.param("select 123::hugeint as x", "123", 123, id="sum of whole numbers"),
        pytest.param("select 1.50::decimal(10, 2) as x", "1.50", "1.50", id="decimal"),
        pytest.param("select null::integer as x", "", None, id="null"),
        pytest.param("select 'nan'::double as x", "nan", None, id="not a number"),
        pytest.param("select date '2024-01-31' as x", "2024-01-31", "2024-01-31", id="date"),
        pytest.param(
            "select timestamp '1900-01-01 00:00:30' as x",
            "1900-01-01T00:00:30Z",
            "1900-01-01T00:00:30Z",
            id="old time",
        ),
        pytest.param("select null::timestamp as x", "", None, id="no time"),
        pytest.param("select '币安' as x", "币安", "币安", id="not ASCII"),
    ],
)
def test_every_type_that_duckdb_returns_has_a_form(
    capsys: pytest.CaptureFixture[str], statement: str, as_csv: str, as_json: object
) -> None:
    table = duckdb.sql(statement).to_arrow_table()
    write_rows(table, "csv", None)
    assert capsys.readouterr().out == f"x\n{as_csv}\n"
    write_rows(table, "json", None)
    assert orjson.loads(capsys.readouterr().out) == [{"x": as_json}]
    write_rows(table, None, None)
    assert capsys.readouterr().out.split()[0] == "x"


def test_an_interval_has_a_form(capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(duckdb.sql("select interval 1 day as x").to_arrow_table(), "csv", None)
    assert "days=1" in capsys.readouterr().out


def test_print_json_writes_times_in_z(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": datetime(2024, 1, 1, 10, 30, 0, 5), "path": Path("x")})
    assert capsys.readouterr().out == '{\n  "at": "2024-01-01T10:30:00Z",\n  "path": "x"\n}\n'


def test_print_table_does_not_read_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["[bold]a"], [["[red]x[/red] :smile:"]])
    assert capsys.readouterr().out.splitlines()[0] == "[bold]a"
    print_table(["a"], [["[red]x[/red]"]])
    assert "[red]x[/red]" in capsys.readouterr().out


def test_print_table_ends_no_line_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "text"], [["a", "short"], ["b", "longer than that"], ["c", None]])
    assert [line for line in capsys.readouterr().out.splitlines() if line != line.rstrip()] == []


def test_a_dash_is_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert write_rows(ROWS, "csv", Path("-")) is None
    assert capsys.readouterr().out.startswith("symbol,")
    assert not Path("-").exists()


ODD = {
    "every type of DuckDB's": "from test_all_types()",
    "times beyond Python's": "select timestamp 'infinity' as t, date '-infinity' as d, timestamptz 'infinity' as z, "
    "date '5000-01-01 (BC)' as b, timestamp '290000-01-01' as y, [date 'infinity'] as l, {'a': timestamp 'infinity'} s",
    "numbers at the ends": "select 1e308 as a, 'inf'::double as b, 'nan'::double as c, '-inf'::float as d, "
    "170141183460469231731687303715884105727::hugeint as h, 18446744073709551615::ubigint as u, "
    "99999999999999999999999999999.999999999::decimal(38, 9) as e",
    "unions, bits, intervals": "select union_value(k := date 'infinity') as u, '1011'::bit as b, "
    "interval 999 month as i, map {'a': [1, 2]} as m, 'x'::blob as o, '12345678901234567890123'::bignum as n, "
    "time '24:00' as t",
    "line breaks": 'select e\'a\\nb\\r\\n\\x1b[2J,"c"\' as x, 1 as "odd\nname"',
}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet", "arrow"])
@pytest.mark.parametrize("what", ODD)
def test_query_prints_every_value_or_says_which_column_has_no_form(
    empty_store: Path, what: str, form: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    code = run(["--db", str(empty_store), "query", ODD[what], "--format", form])
    out, err = capfdbinary.readouterr()
    rows = duckdb.sql(f"select count(*) from ({ODD[what]})").fetchall()[0][0]
    if code == 2:
        assert form == "parquet"
        assert err.startswith(b"threadx: error: Parquet has no form for ")
        assert err.count(b"\n") == 1
        return
    assert (code, err) == (0, b"")
    if form == "json":
        assert len(orjson.loads(out)) == rows
    elif form == "csv":
        assert len(list(csv.reader(io.StringIO(out.decode(), newline="")))) == rows + 1
    elif form == "table":
        assert len(out.decode().splitlines()) == rows + 2
    else:
        read = pq.read_table(io.BytesIO(out)) if form == "parquet" else pa.ipc.open_stream(out).read_all()
        assert read.num_rows == rows


@pytest.mark.parametrize(
    ("statement", "as_csv", "as_json"),
    [
        pytest.param("select timestamp 'infinity' as x", "infinity", "infinity", id="infinite time"),
        pytest.param("select date '-infinity' as x", "-infinity", "-infinity", id="infinite date"),
        pytest.param("select timestamptz 'infinity' as x", "infinity", "infinity", id="infinite time with zone"),
        pytest.param(
            "select [date 'infinity', null] as x", '"[""infinity"",null]"', ["infinity", None], id="in a list"
        ),
        pytest.param(
            "select {'a': timestamp 'infinity'} as x", '"{""a"":""infinity""}"', {"a": "infinity"}, id="in a struct"
        ),
        pytest.param("select union_value(k := 7) as x", "7", 7, id="union"),
        pytest.param(
            "select x from (values (timestamp '2024-01-01'), ('infinity')) t(x) order by x limit 1",
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00Z",
            id="an ordinary time beside an infinite one",
        ),
    ],
)
def test_what_python_has_no_value_for_is_text(
    capsys: pytest.CaptureFixture[str], statement: str, as_csv: str, as_json: object
) -> None:
    table = duckdb.sql(statement).to_arrow_table()
    write_rows(table, "csv", None)
    assert capsys.readouterr().out == f"x\n{as_csv}\n"
    write_rows(table, "json", None)
    assert orjson.loads(capsys.readouterr().out) == [{"x": as_json}]


def test_parquet_names_the_columns_it_has_no_form_for() -> None:
    table = duckdb.sql("select 1 as a, interval 1 day as b, union_value(k := 1) as c").to_arrow_table()
    with pytest.raises(UsageError, match=r"^Parquet has no form for b \(month_day_nano_interval\), c \("):
        write_rows(table, "parquet", None)


def test_json_of_two_columns_of_one_name_is_refused(empty_store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--db", str(empty_store), "query", "select 1 as a, 2 as a", "--format", "json"]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.partition(";")[0]) == ("", "threadx: error: Two columns are called a")
    assert run(["--db", str(empty_store), "query", "select 1 as a, 2 as a", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "a,a\n1,2\n"


@pytest.mark.parametrize(("machine", "megabytes"), [("300MB", 300), ("64GB", 2_000)])
def test_query_takes_two_gigabytes_or_what_the_machine_has(
    empty_store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], machine: str, megabytes: int
) -> None:
    connect = duckdb.connect

    def connect_there(*arguments: Any, config: dict[str, Any], **options: Any) -> duckdb.DuckDBPyConnection:
        return connect(*arguments, config={**config, "memory_limit": machine}, **options)

    monkeypatch.setattr(duckdb, "connect", connect_there)
    statement = "select round(parse_formatted_bytes(current_setting('memory_limit')) / 1e6) as m"
    assert run(["--db", str(empty_store), "query", statement, "--format", "csv"]) == 0
    assert float(capsys.readouterr().out.splitlines()[1]) == pytest.approx(megabytes, rel=0.05)


class UnforeseenError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            duckdb.InternalException("INTERNAL Error: a\nb"),
            "InternalException: INTERNAL Error: a b (--verbose shows where)",
        ),
        (ValueError("odd"), "ValueError: odd (--verbose shows where)"),
        (OverflowError("date value out of range"), "OverflowError: date value out of range (--verbose shows where)"),
        (UnforeseenError(), "UnforeseenError: (--verbose shows where)"),
        (PermissionError(13, "Permission denied", "/x/y"), "Cannot use /x/y: Permission denied."),
        (OSError(28, "No space left on device"), "Cannot write the result: No space left on device."),
    ],
)
def test_an_error_that_nobody_foresaw_is_one_line(
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
    told: str,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("threadx_duck.storage.store.Store.query_user_sql", fail)
    assert run(["--db", str(empty_store), "query", "select 1"]) == 1
    assert capfd.readouterr().err == f"threadx: error: {told}\n"
    assert run(["--verbose", "--db", str(empty_store), "query", "select 1"]) == 1
    assert "Traceback (most recent call last)" in capfd.readouterr().err
