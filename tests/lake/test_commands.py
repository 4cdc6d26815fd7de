"""Every command on a lake gives what it gives on a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.lake.conftest import Threadx
from tests.lake.server import PASSWORD, Server
from threadx_duck.audit.checks import run_checks
from threadx_duck.config import Settings
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange
from threadx_duck.storage.session import Session
from threadx_duck.storage.store import Store

INGEST = ("ingest", "BTCUSDC", "ETHUSDC", "SOLUSDC", "--start", "2024-01-01", "--end", "2024-01-03")
# Documents that say when something was asked, how long it took, or where it lies, are not compared.
ALIKE = [
    ("gaps", "--json"),
    ("gaps", "ETHUSDC", "--start", "2024-01-01", "--json"),
    ("check", "--json"),
    ("candles", "BTCUSDC", "1h", "--format", "csv"),
    ("candles", "ETHUSDC", "7m", "--start", "2024-01-02", "--format", "json"),
    ("candles", "SOLUSDC", "1mo", "--format", "csv"),
    ("verify", "-t", "1h", "--json"),
    ("verify", "-t", "3h", "--json"),
    ("fingerprint", "--json"),
    ("revisions", "--json"),
    ("query", "select symbol, count(*), sum(volume)::decimal(18, 3) from candles_4h group by all order by all"),
    ("query", "select * from coverage order by all"),
    (
        "query",
        (
            "select open_time, close, volume::decimal(18, 3), filled_minutes "
            "from candles_filled('ETHUSDC', '4 hours', '2024-01-01', '2024-01-04') order by all"
        ),
    ),
    ("query", "select count(*) from candles('BTCUSDC', '45 minutes', '2024-01-01', '2024-01-03')"),
]


@pytest.fixture
def filled(lake_settings: Settings, threadx: Threadx) -> Settings:
    answer = threadx(*INGEST)
    assert answer.code == 0, answer
    return lake_settings


def _beside(threadx: Threadx) -> str:
    """A file with the same candles."""
    assert threadx("--db", "file.duckdb", *INGEST).code == 0
    return "file.duckdb"


def test_commands_give_what_they_give_on_a_file(filled: Settings, threadx: Threadx) -> None:
    file = _beside(threadx)
    for arguments in ALIKE:
        on_lake, on_file = threadx(*arguments), threadx("--db", file, *arguments)
        assert (on_lake.code, on_lake.out) == (on_file.code, on_file.out), arguments
        assert on_lake.out
    status, file_status = (threadx(*which, "status", "--json").document for which in ((), ("--db", file)))
    for row in status["symbols"] + file_status["symbols"]:
        del row["last_requested_at"]
    assert status["symbols"] == file_status["symbols"]
    assert 10_000 < status["bytes"] == sum(path.stat().st_size for path in Path("lake").rglob("*.parquet"))


@pytest.mark.parametrize("source", ["rest", "archive"])
def test_ledger_of_a_lake_is_that_of_a_file(lake_settings: Settings, threadx: Threadx, source: str) -> None:
    what = ("ingest", "BTCUSDC", "--start", "2024-01-01", "--end", "2024-01-02", "--source", source)
    ledger = (
        "query",
        (
            "select source, range_start, range_end, pages, sha256, rows_received, rows_added, rows_revised, "
            "rows_rejected from requests order by all"
        ),
    )
    assert threadx(*what).code == threadx("--db", "file.duckdb", *what).code == 0
    assert threadx(*ledger).out == threadx("--db", "file.duckdb", *ledger).out
    again = threadx(*what, "--json").document
    assert (again["symbols"][0]["status"], again["rows_added"], again["requests"]) == ("up_to_date", 0, 0)


def test_a_minute_at_a_time_extends_the_row_of_the_ledger(
    lake_settings: Settings, exchange: LoopbackExchange, threadx: Threadx
) -> None:
    exchange.now = datetime(2024, 1, 2, 1, tzinfo=UTC)
    assert threadx("ingest", "BTCUSDC", "ETHUSDC", "--start", "2024-01-02", "--source", "rest").code == 0
    for _ in range(3):
        exchange.now += timedelta(minutes=1)
        answer = threadx("follow", "--once")
        assert answer.code == 0, answer
    rows = threadx("query", "select symbol, range_end, rows_added from requests order by all", "--format", "csv").out
    assert [line for line in rows.splitlines() if "2024-01-02 00:5" in line or "01:0" in line]
    assert rows.count("BTCUSDC") <= 2
    assert threadx("check", "--json").document["rows"] == 0
    # So small a commit is no file.
    assert list(Path("lake/main/candles_1m").rglob("*.parquet")) == []
    assert threadx("status", "BTCUSDC", "--json").document["candles"] > 60


def test_revision_and_rejected_rows_are_kept(
    filled: Settings, threadx: Threadx, make_candles: Callable[..., pa.Table]
) -> None:
    minute = datetime(2024, 1, 2, 10, 5)
    pq.write_table(make_candles(start=minute, minutes=2, close=10.5).drop_columns(["symbol"]), "BTCUSDC-1m.parquet")
    answer = threadx("import", "BTCUSDC-1m.parquet", "--symbol", "BTCUSDC", "--json")
    assert answer.code == 0, answer
    listed = threadx("revisions", "--json").document
    assert {row["open_time"] for row in listed["revisions"]} == {"2024-01-02T10:05:00Z", "2024-01-02T10:06:00Z"}
    assert {row["applied"] for row in listed["revisions"]} == {False}
    assert threadx("explain", "BTCUSDC", "2024-01-02T10:05", "--json").document["revisions"]


def test_remove_takes_candles_with_their_evidence(filled: Settings, threadx: Threadx) -> None:
    file = _beside(threadx)
    for start in ("2024-01-02", "2024-01-01T12:00"):
        removal = ("remove", "ETHUSDC", "--start", start, "--end", "2024-01-02T03:00", "--yes")
        assert threadx(*removal).code == threadx("--db", file, *removal).code == 0
    assert threadx("fingerprint", "--json").out == threadx("--db", file, "fingerprint", "--json").out
    assert threadx("gaps", "--json").out == threadx("--db", file, "gaps", "--json").out
    assert threadx("remove", "SOLUSDC", "--yes").code == 0
    answer = threadx("ingest", "ETHUSDC", "SOLUSDC", "--start", "2024-01-01", "--end", "2024-01-03")
    assert answer.code == 0, answer
    assert threadx("diff", file, "ETHUSDC", "SOLUSDC", "--json").code == 3
    assert threadx("check", "--json").document["rows"] == 0


def test_diff_compares_lake_and_file_both_ways(filled: Settings, threadx: Threadx, address: str) -> None:
    file = _beside(threadx)
    assert threadx("diff", file).code == 0
    assert threadx("--db", file, "diff", address).code == 0
    assert threadx("--db", file, "remove", "BTCUSDC", "--start", "2024-01-03", "--yes").code == 0
    there, here = threadx("diff", file, "--json"), threadx("--db", file, "diff", address, "--json")
    assert (there.code, here.code) == (3, 3)
    assert [row["kind"] for row in there.document["ranges"]] == ["only_here"]
    assert [row["kind"] for row in here.document["ranges"]] == ["only_there"]
    assert "this very store" in threadx("diff", address).err


def test_export_and_import_carry_candles_from_lake_to_lake(
    filled: Settings, threadx: Threadx, server: Server, tmp_path: Path
) -> None:
    assert threadx("export", "-o", "out", "--format", "parquet").code == 0
    files = list((tmp_path / "out").glob("*.parquet"))
    assert sum(pq.read_metadata(file).num_rows for file in files) == threadx("status", "--json").document["candles"]
    before = threadx("fingerprint", "--json").out
    (tmp_path / "paths.toml").write_text(
        f'[data.store]\ndatabase = """{server.make_database()}"""\ndata_path = "other"\n'.replace("\\", "\\\\")
    )
    answer = threadx("import", *map(str, files))
    assert answer.code == 0, answer
    assert threadx("fingerprint", "--json").out == before


def test_verify_repairs_a_lake(filled: Settings, threadx: Threadx) -> None:
    def harm(session: object) -> None:
        session._connection.execute(  # type: ignore[attr-defined]
            "update candles_1m set close = close + 1, high = high + 1 "
            "where symbol = 'BTCUSDC' and open_time = '2024-01-02 10:59'"
        )

    Store(filled.store).change(("BTCUSDC",), harm)
    assert threadx("verify", "BTCUSDC", "-t", "1h").code == 3
    assert threadx("verify", "BTCUSDC", "-t", "1h", "--repair").code == 0
    assert threadx("verify", "BTCUSDC", "-t", "1h").code == 0
    revised = threadx("revisions", "BTCUSDC", "--json").document["revisions"]
    assert [(row["open_time"], row["field"]) for row in revised] == [
        ("2024-01-02T10:59:00Z", "high"),
        ("2024-01-02T10:59:00Z", "close"),
    ]


def test_compact_joins_files_and_changes_nothing(
    lake_settings: Settings, exchange: LoopbackExchange, threadx: Threadx
) -> None:
    for hour in (0, 6, 12):
        end = f"2024-01-02T{hour:02}:00"
        assert threadx("ingest", "BTCUSDC", "ETHUSDC", "--start", "2024-01-01", "--end", end).code == 0
    before = threadx("fingerprint", "--json").out, threadx("gaps", "--json").out
    answer = threadx("compact", "--json")
    assert answer.code == 0, answer
    done = answer.document
    assert done["files_before"] < done["files_after"]
    # Rows of the catalog are in files now: a second time there is nothing to do.
    assert threadx("compact", "--json").document["files_after"] == done["files_after"]
    assert (threadx("fingerprint", "--json").out, threadx("gaps", "--json").out) == before
    assert threadx("check", "--json").document["rows"] == 0


def test_chart_coverage_map_and_doctor_work(filled: Settings, threadx: Threadx) -> None:
    assert threadx("chart", "BTCUSDC", "1h", "-o", "chart.html").code == 0
    assert threadx("coverage-map", "-o", "map.html").code == 0
    findings = threadx("doctor", "--json").document["findings"]
    store = next(finding for finding in findings if finding["topic"] == "store")
    assert store["state"] == "ok"
    assert f"under {Path('lake').absolute()}/" in store["text"]
    assert {finding["topic"] for finding in findings} >= {"store", "space", "checks", "disk"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(("publish", "copy.duckdb"), "needs no read copy", id="publish"),
        pytest.param(("backup", "copy.duckdb"), "pg_dump", id="backup"),
    ],
)
def test_what_a_lake_needs_not_says_so(
    filled: Settings, threadx: Threadx, arguments: tuple[str, ...], sentence: str
) -> None:
    answer = threadx(*arguments)
    assert answer.code == 2
    assert sentence in answer.err
    assert not Path("copy.duckdb").exists()


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("delete from candles_1m", id="delete"),
        pytest.param("copy (select 1) to 'lake/x.csv'", id="copy"),
        pytest.param("explain analyze copy (select 1) to 'lake/x.csv'", id="explain"),
        pytest.param("select * from read_csv('paths.toml')", id="file"),
        pytest.param("attach 'other.duckdb'", id="attach"),
        pytest.param("call ducklake_expire_snapshots('store', older_than => now())", id="expire"),
        pytest.param("select * from postgres_execute('__ducklake_metadata_store', 'drop table x')", id="postgres"),
        pytest.param("set memory_limit = '20GB'", id="setting"),
        pytest.param("from ducklake_cleanup_old_files('reader', cleanup_all => true)", id="cleanup"),
        pytest.param("select * from ducklake_merge_adjacent_files('reader')", id="merge"),
        pytest.param("from DuckLake_Merge_Adjacent_Files /* */ ('reader')", id="case"),
        pytest.param("from \"ducklake_merge_adjacent_files\"('reader')", id="quoted"),
        pytest.param("from system.main.ducklake_delete_orphaned_files('reader', cleanup_all => true)", id="qualified"),
        pytest.param("from reader.merge_adjacent_files()", id="method"),
        pytest.param("from reader.set_option('parquet_compression', 'gzip')", id="option"),
        pytest.param("select (select count(*) from ducklake_merge_adjacent_files('reader'))", id="subquery"),
        pytest.param("with x as (from ducklake_merge_adjacent_files('reader')) from x", id="cte"),
        pytest.param("from candles_1m limit (select 1 from ducklake_merge_adjacent_files('reader'))", id="limit"),
        pytest.param("describe from ducklake_merge_adjacent_files('reader')", id="describe"),
        pytest.param("from query('from ' || 'ducklake_merge_adjacent_files(''reader'')')", id="text"),
        pytest.param("from query_table('__ducklake_metadata_reader.pg_catalog.pg_authid')", id="table-text"),
        pytest.param(
            "from json_execute_serialized_sql(json_serialize_sql('from ducklake_merge_adjacent_files(''reader'')'))",
            id="serialized",
        ),
        pytest.param("prepare p as from ducklake_merge_adjacent_files('reader')", id="prepared"),
        pytest.param("create macro m() as table from ducklake_merge_adjacent_files('reader')", id="macro"),
        pytest.param("select 1; call ducklake_merge_adjacent_files('reader')", id="second"),
        pytest.param("from postgres_query('__ducklake_metadata_reader', 'select 1 as a')", id="postgres-query"),
        pytest.param("from postgres_scan('host=127.0.0.1', 'public', 'ducklake_table')", id="postgres-scan"),
        pytest.param("from __ducklake_metadata_reader.pg_catalog.pg_authid", id="hashes"),
        pytest.param("from __DuckLake_Metadata_reader.ducklake_data_file", id="catalog"),
        pytest.param("from read_text('/etc/hostname')", id="text-file"),
        pytest.param("from '/etc/hostname'", id="other-file"),
    ],
)
def test_query_can_only_read(filled: Settings, threadx: Threadx, statement: str) -> None:
    before = sorted(Path("lake").rglob("*"))
    answer = threadx("query", statement)
    assert answer.code == 2, answer
    assert answer.err.splitlines()[-1].startswith("threadx: error: ")
    assert sorted(Path("lake").rglob("*")) == before
    assert threadx("status", "--json").document["candles"] > 0


@pytest.mark.parametrize(
    "statement",
    [
        "select count(*) as n from candles('BTCUSDC', '45 minutes', '2024-01-01', '2024-01-03')",
        "select count(*) as n from ducklake_snapshots('reader')",
        "select count(*) as n from reader.table_info()",
        "select sum(file_count) as n from DUCKLAKE_TABLE_INFO('reader')",
        "select count(*) as n from ducklake_list_files('reader', 'candles_1m')",
        "select count(*) as n from range(3), (values (1)) as v(x), (select unnest([1, 2]))",
        "select count(*) as n from (describe candles_1m)",
        "select count(*) as n from duckdb_tables()",
        "select count(*) as n from information_schema.tables",
    ],
)
def test_query_reads_by_what_can_only_read(filled: Settings, threadx: Threadx, statement: str) -> None:
    answer = threadx("query", statement, "--format", "csv")
    assert answer.code == 0, answer
    assert int(answer.out.splitlines()[1]) > 0


def test_query_uses_the_macros_of_other_people(filled: Settings, threadx: Threadx) -> None:
    def define(session: Session) -> None:
        session._connection.execute(
            "create macro days() as table select distinct open_time::date as day from candles_1m"
        )

    Store(filled.store).change((), define)
    answer = threadx("query", "select count(*) as n from Days()", "--format", "csv")
    assert (answer.code, answer.out) == (0, "n\n3\n"), answer


def test_no_password_is_ever_shown(filled: Settings, threadx: Threadx, address: str) -> None:
    shown = [threadx(*arguments) for arguments in (("status",), ("config",), ("config", "--json"), ("doctor",))]
    shown += [
        threadx("query", f"select * from {table}()")
        for table in ("duckdb_databases", "duckdb_secrets", "pragma_version")
    ]
    shown += [threadx("--verbose", "--db", f"{address} port=1", "status"), threadx("--db", f"{address} x y", "status")]
    shown.append(threadx("--verbose", "query", "select * from nothing"))
    log = "".join(path.read_text() for path in Path("logs").glob("*.log"))
    for answer in shown:
        for secret in (PASSWORD, "top-secret"):
            assert secret not in answer.out + answer.err
            assert secret not in log
    assert "holds a password in clear" in shown[0].err
    assert "holds a password in clear" in log


def test_password_of_a_pgpass_file_needs_no_warning(
    filled: Settings, threadx: Threadx, server: Server, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    (home / ".pgpass").write_text(f"127.0.0.1:{server.port}:*:threadx:{escaped}\n")
    (home / ".pgpass").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PGPASSFILE", str(home / ".pgpass"))
    database = address.split("dbname=")[1]
    bare = f"ducklake:postgres:host=127.0.0.1 port={server.port} user=threadx dbname={database}"
    answer = threadx("--db", bare, "status", "--json")
    assert answer.code == 0, answer
    assert answer.document["candles"] > 0
    assert "password" not in answer.err
    # A statement needs no password to reach the server, and must not reach it all the same.
    there = f"host=127.0.0.1 port={server.port} user=threadx dbname={database}"
    for statement in (
        "from postgres_query('__ducklake_metadata_reader', 'select pg_read_file(''PG_VERSION'')')",
        f"from postgres_query('{there}', 'select pg_read_file(''PG_VERSION'')')",
        f"from postgres_scan('{there}', 'public', 'ducklake_table')",
        f"attach '{there}' as other (type postgres)",
    ):
        refused = threadx("--db", bare, "query", statement)
        assert (refused.code, refused.out) == (2, ""), (statement, refused)


def test_any_duckdb_client_reads_the_lake(filled: Settings, server: Server, address: str) -> None:
    with duckdb.connect() as client:
        from threadx_duck.storage.lake_attach import load_extensions

        load_extensions(client)
        client.execute("attach ? as market (read_only)".replace("?", "'" + address.replace("'", "''") + "'"))
        client.execute("use market")
        assert client.execute("select count(*) from candles_1h where symbol = 'BTCUSDC'").fetchone() == (70,)
        comments = client.execute("select comment from duckdb_tables() where table_name = 'candles_1m'").fetchall()
        assert comments[0][0].startswith("Real, closed")


def test_manager_reads_and_writes_a_lake(filled: Settings) -> None:
    settings = replace(filled, archive=replace(filled.archive, enabled=False))
    with IngestionManager(settings) as manager:
        minutes = manager.download_ohlcv_1m("BTCUSDC", "2024-01-01", "2024-01-02")
        hours = manager.candles("BTCUSDC", "3h", "2024-01-01", "2024-01-02")
        assert manager.verify_resample_consistency(minutes, hours, "3h")
        assert [finding.name for finding in run_checks(manager.store) if finding.rows.num_rows] == []
        before = manager.store.modified
        assert manager.store.modified == before
        manager.store.change(
            (), lambda session: session.run("store/set_published", published_at=None, published_from=None)
        )
        assert manager.store.modified > before
