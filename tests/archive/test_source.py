from __future__ import annotations

import gzip
import hashlib
import io
import logging
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.archive_helpers import (
    END,
    JANUARY,
    OUTAGE,
    START,
    SYMBOL,
    ingest,
    made_market,
    make_settings,
    market_with_outage,
    paths,
    select,
    serve,
    served,
    sources,
    stored,
    with_value,
    without,
)
from tests.support.recordings import Recordings
from threadx_duck.archive import unzip
from threadx_duck.archive.rows import read_kline_csv
from threadx_duck.archive.unzip import open_plain
from threadx_duck.config import Settings
from threadx_duck.download.run import Downloader
from threadx_duck.errors import BadResponseError, UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange

pytestmark = pytest.mark.slow

KEY = f"data/spot/monthly/klines/{SYMBOL}/1m/{SYMBOL}-1m-2025-01.zip"
NOON = datetime(2025, 1, 15, 12)


@pytest.fixture
def exchange() -> Iterator[LoopbackExchange]:
    with serve() as serving:
        yield serving


@pytest.fixture
def settings(tmp_path: Path, exchange: LoopbackExchange) -> Settings:
    return make_settings(tmp_path, exchange.url)


def zipped(content: bytes, name: str = "anything") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return buffer.getvalue()


def test_months_in_milliseconds_and_microseconds_become_the_same_candles(
    settings: Settings, exchange: LoopbackExchange
) -> None:
    result, notes = ingest(settings, START, JANUARY[1])
    assert (result.status, notes) == ("ok", [])
    assert stored(settings).equals(served(exchange.market, START))
    assert sources(settings) == {"archive_monthly": 2, "rest": 1}


def test_ledger_names_each_file_and_its_hash(settings: Settings, exchange: LoopbackExchange) -> None:
    ingest(settings)
    file = exchange.archive.get(KEY)
    assert file is not None
    assert select(
        settings,
        "select url, sha256, range_start, range_end, pages, rows_received from requests where source <> 'rest'",
    ) == [(f"{exchange.url}/{KEY}", hashlib.sha256(file.body).hexdigest(), *JANUARY, 1, 44_640)]


def test_second_run_asks_nothing(settings: Settings, exchange: LoopbackExchange) -> None:
    ingest(settings)
    before = len(exchange.requests)
    result, _ = ingest(settings)
    assert (result.status, result.requests, len(exchange.requests)) == ("up_to_date", 0, before)


def test_recent_range_comes_from_daily_files_and_a_rest_tail(settings: Settings, exchange: LoopbackExchange) -> None:
    ingest(settings, JANUARY[0], None)
    assert stored(settings).equals(served(exchange.market, JANUARY[0], END))
    assert select(
        settings,
        "select source, min(range_start), max(range_end) from requests "
        "where range_start >= '2025-01-01' group by 1 order by 2",
    ) == [
        ("archive_monthly", *JANUARY),
        ("archive_daily", JANUARY[1], datetime(2025, 2, 7)),
        ("rest", datetime(2025, 2, 7), END),
    ]


def test_part_of_a_month_brings_nothing_that_was_not_asked_for(settings: Settings, exchange: LoopbackExchange) -> None:
    span = datetime(2025, 1, 3, 7), datetime(2025, 1, 28, 23)
    ingest(settings, *span)
    assert stored(settings).equals(served(exchange.market, *span))
    result, _ = ingest(settings, *span)
    assert result.status == "up_to_date"


EDITS: dict[str, dict[str, Any]] = {
    "header": {"header": True},
    "mixed units": {"csv": lambda content: _first_rows_in_milliseconds(content)},
    "windows line ends": {"csv": lambda content: content.replace(b"\n", b"\r\n")},
    "no last line end": {"csv": lambda content: content[:-1]},
    "numbers in the last column": {"csv": lambda content: content.replace(b",0\n", b",10779.83873125\n")},
    "text in the last column": {"csv": lambda content: content.replace(b",0\n", b",n/a\n")},
    "identical rows twice": {"csv": lambda content: content + content[: content.index(b"\n") + 1]},
    "checksum without newline": {"checksum": lambda text: text.strip()},
    "checksum of another name": {"checksum": lambda text: text.split()[0] + "  other.zip"},
    "checksum in capitals": {"checksum": lambda text: text.upper()},
}


def _first_rows_in_milliseconds(content: bytes) -> bytes:
    lines = content.split(b"\n")
    for number in range(100):
        cells = lines[number].split(b",")
        cells[0], cells[6] = cells[0][:-3], cells[6][:-3]
        lines[number] = b",".join(cells)
    return b"\n".join(lines)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_file_of_any_form_that_was_seen_gives_the_same_candles(
    settings: Settings, exchange: LoopbackExchange, edit: dict[str, Any]
) -> None:
    exchange.archive.edit("monthly", SYMBOL, "2025-01", **edit)
    result, notes = ingest(settings)
    assert (result.status, result.rows_rejected, notes) == ("ok", 0, [])
    assert stored(settings).equals(served(exchange.market))
    assert sources(settings) == {"archive_monthly": 1}


def test_member_of_any_name_is_read(settings: Settings, exchange: LoopbackExchange) -> None:
    file = exchange.archive.get(KEY)
    assert file is not None
    content = zipfile.ZipFile(io.BytesIO(file.body)).read(f"{SYMBOL}-1m-2025-01.csv")
    exchange.archive.put(KEY, zipped(content, "../../etc/passwd"))
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert sources(settings) == {"archive_monthly": 1}


def test_checksum_wrong_once_is_fetched_again_with_its_file(settings: Settings, exchange: LoopbackExchange) -> None:
    exchange.fail("body", match=lambda request: request.path == f"/{KEY}.CHECKSUM", body=b"0" * 64)
    _, notes = ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert sources(settings) == {"archive_monthly": 1}
    assert paths(exchange, "monthly").count(f"/{KEY}") == 2
    assert len(notes) == 1
    assert "fetched again" in notes[0]


def test_checksum_always_wrong_leads_to_daily_files_and_is_reported(
    settings: Settings, exchange: LoopbackExchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.archive.edit("monthly", SYMBOL, "2025-01", checksum=lambda text: "0" * 64 + text[64:])
    with caplog.at_level(logging.WARNING):
        _, notes = ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert sources(settings) == {"archive_daily": 31}
    assert ["does not match its checksum" in note for note in notes] == [True]
    assert "does not match its checksum" in caplog.text


def test_checksums_of_month_and_day_wrong_lead_to_rest(settings: Settings, exchange: LoopbackExchange) -> None:
    exchange.archive.edit("monthly", SYMBOL, "2025-01", checksum=lambda text: "0" * 64)
    exchange.archive.edit("daily", SYMBOL, "2025-01-15", checksum=lambda text: "nonsense")
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert sources(settings) == {"archive_daily": 30, "rest": 1}


def _contradicting(content: bytes) -> bytes:
    line = content[: content.index(b"\n") + 1]
    cells = line.split(b",")
    cells[8] = b"7"
    return content + b",".join(cells)


SPOILT: dict[str, dict[str, Any]] = {
    "not a zip": {"spoil": lambda _: b"<html></html>"},
    "cut zip": {"spoil": lambda body: body[: len(body) // 2]},
    "not CSV": {"csv": lambda content: b"<html><body>\nnothing here\n</body></html>\n"},
    "empty": {"csv": lambda content: b""},
    "rows of another month": {"rows": lambda rows: made_market()[SYMBOL].candles.slice(0, 44_640)},
    "rows that contradict each other": {"csv": _contradicting},
}


@pytest.mark.parametrize("edit", SPOILT.values(), ids=SPOILT)
def test_file_that_cannot_be_used_is_replaced_by_daily_files(
    settings: Settings, exchange: LoopbackExchange, edit: dict[str, Any]
) -> None:
    exchange.archive.edit("monthly", SYMBOL, "2025-01", **edit)
    if "spoil" in edit:
        spoilt = exchange.archive.get(KEY)
        assert spoilt is not None
        exchange.archive.put(KEY, spoilt.body)
    _, notes = ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert sources(settings) == {"archive_daily": 31}
    assert len(notes) == 1


def test_two_members_are_not_a_file_of_the_archive(settings: Settings, exchange: LoopbackExchange) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.csv", b"1")
        file.writestr("b.csv", b"2")
    exchange.archive.put(KEY, buffer.getvalue())
    _, notes = ingest(settings)
    assert sources(settings) == {"archive_daily": 31}
    assert "holds 2 files" in notes[0]


def test_zip_bomb_is_not_unpacked(
    settings: Settings, exchange: LoopbackExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unzip, "_MOST_UNPACKED", 8 << 20)
    row = b"1735689600000000,1,1,1,1,1,1735689659999999,1,1,1,1,0\n"
    exchange.archive.put(KEY, zipped(row * (9 * 2**20 // len(row))))
    _, notes = ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert "unpacks to over 8,388,608 bytes" in notes[0]


def test_missing_month_is_an_answer(settings: Settings, exchange: LoopbackExchange) -> None:
    exchange.archive.remove(KEY)
    result, notes = ingest(settings)
    assert (result.status, notes) == ("ok", [])
    assert stored(settings).equals(served(exchange.market))
    assert sources(settings) == {"archive_daily": 31}


def test_missing_month_and_days_come_over_rest(settings: Settings, exchange: LoopbackExchange) -> None:
    exchange.archive.remove(KEY)
    for day in (3, 4):
        exchange.archive.remove(f"data/spot/daily/klines/{SYMBOL}/1m/{SYMBOL}-1m-2025-01-{day:02}.zip")
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert select(settings, "select range_start, range_end, pages from requests where source = 'rest'") == [
        (datetime(2025, 1, 3), datetime(2025, 1, 5), 3)
    ]


def test_truncated_month_is_completed_from_daily_files(settings: Settings, exchange: LoopbackExchange) -> None:
    exchange.archive.edit("monthly", SYMBOL, "2025-01", rows=lambda rows: rows.slice(0, 7 * 1440))
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert sources(settings) == {"archive_monthly": 1, "archive_daily": 24}
    assert select(settings, "select count(*) from requests where range_start = range_end") == [(1,)]
    result, _ = ingest(settings)
    assert result.status == "up_to_date"


def test_outage_inside_a_month_takes_two_calls_to_prove(tmp_path: Path) -> None:
    market = market_with_outage()
    with serve(market) as exchange:
        settings = make_settings(tmp_path, exchange.url)
        ingest(settings, START, JANUARY[1])
        assert stored(settings).equals(served(market, START))
        assert len(exchange.requests.klines) == 3
        assert select(settings, "select range_start, range_end from requests where source = 'rest' order by 1") == [
            (datetime(1970, 1, 1), START + timedelta(minutes=1)),
            OUTAGE,
        ]
        before = len(exchange.requests)
        assert ingest(settings, START, JANUARY[1])[0].status == "up_to_date"
        assert len(exchange.requests) == before


def test_holes_that_one_page_holds_take_one_call(settings: Settings, exchange: LoopbackExchange) -> None:
    def holes(rows: pa.Table) -> pa.Table:
        for hour in (1, 5, 9):
            rows = without(rows, datetime(2025, 1, 9, hour), datetime(2025, 1, 9, hour, 3))
        return rows

    exchange.archive.edit("monthly", SYMBOL, "2025-01", rows=holes)
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert select(settings, "select range_start, range_end, pages from requests where source = 'rest'") == [
        (datetime(2025, 1, 9, 1), datetime(2025, 1, 9, 9, 3), 1)
    ]


def test_listing_month_needs_no_proof_of_what_was_before(settings: Settings, exchange: LoopbackExchange) -> None:
    listed = datetime(2024, 12, 20, 8, 30)
    ingest(settings, None, JANUARY[0], symbol="SOLUSDC")
    assert stored(settings, "SOLUSDC").equals(served(exchange.market, listed, JANUARY[0], "SOLUSDC"))
    assert len(exchange.requests.klines) == 1
    before = len(exchange.requests)
    assert ingest(settings, "2020-01-01", JANUARY[0], symbol="SOLUSDC")[0].status == "up_to_date"
    assert len(exchange.requests) == before


def test_months_after_a_delisting_take_two_calls(tmp_path: Path) -> None:
    market = made_market()
    with serve() as exchange:
        rows = market[SYMBOL].candles
        exchange.market.replace(SYMBOL, rows.slice(0, 20_000), status="BREAK")
        exchange.now = datetime(2025, 6, 1, tzinfo=UTC)
        settings = make_settings(tmp_path, exchange.url)
        ingest(settings, START, datetime(2025, 5, 1))
        assert stored(settings).num_rows == 20_000
        # The listing; what follows in the last month, and the four months without a file: each asked twice.
        assert len(exchange.requests.klines) == 5
        assert not paths(exchange, "daily")


def test_off_grid_rows_are_rejected_and_asked_again(settings: Settings, exchange: LoopbackExchange) -> None:
    seconds = 20_799

    def shift(content: bytes) -> bytes:
        lines = content.split(b"\n")
        for number in range(100, 103):
            cells = lines[number].split(b",")
            cells[0] = str(int(cells[0]) + seconds * 1000).encode()
            lines[number] = b",".join(cells)
        return b"\n".join(lines)

    exchange.archive.edit("monthly", SYMBOL, "2025-01", csv=shift)
    result, _ = ingest(settings)
    assert result.rows_rejected == 3
    assert stored(settings).equals(served(exchange.market))
    first = JANUARY[0] + timedelta(minutes=100)
    rejected = select(settings, "select minute, reason, raw from rejected_rows order by minute")
    assert [row[:2] for row in rejected] == [(first + timedelta(minutes=n), "off_grid") for n in range(3)]
    assert rejected[0][2].startswith(f"{1735689600000000 + 100 * 60_000_000 + seconds * 1000},")
    assert rejected[0][2].count(",") == 11


def test_row_that_breaks_an_invariant_is_rejected_and_asked_again(
    settings: Settings, exchange: LoopbackExchange
) -> None:
    exchange.archive.edit("monthly", SYMBOL, "2025-01", rows=lambda rows: with_value(rows, NOON, low=1e9))
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert select(settings, "select minute, reason from rejected_rows") == [(NOON, "impossible_price")]
    assert sources(settings) == {"archive_monthly": 1, "rest": 1}


@pytest.mark.parametrize(
    ("line", "minute"),
    [
        pytest.param(b"1736942400000000,rubbish,1,1,1,0,0,0,0,0,0,0", datetime(2025, 1, 15, 12), id="text for a price"),
        pytest.param(b"1736942400000000,1,1,1,1,,0,0,0,0,0,0", datetime(2025, 1, 15, 12), id="empty volume"),
        pytest.param(b"rubbish,1,1,1,1,0,0,0,0,0,0,0", None, id="text for the time"),
        pytest.param(b"1736942400000000,1,1", None, id="short row"),
        pytest.param(b"1736942400000000,1,1,1,1,0,0,0,\xff\xfe,0,0,0", datetime(2025, 1, 15, 12), id="bytes"),
    ],
)
def test_row_that_cannot_be_read_is_rejected_and_its_minute_asked_again(
    settings: Settings, exchange: LoopbackExchange, line: bytes, minute: datetime | None
) -> None:
    def spoil(content: bytes) -> bytes:
        start = content.index(b"1736942400000000,")
        return content[:start] + line + content[content.index(b"\n", start) :]

    exchange.archive.edit("monthly", SYMBOL, "2025-01", csv=spoil)
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    raw = line.decode("utf-8", "replace")
    assert select(settings, "select minute, reason, raw from rejected_rows") == [(minute, "unreadable", raw)]


def test_monthly_that_differs_from_daily_gives_way_to_it(settings: Settings, exchange: LoopbackExchange) -> None:
    exchange.archive.edit(
        "monthly",
        SYMBOL,
        "2025-01",
        rows=lambda rows: without(with_value(rows, NOON, volume=123.0), datetime(2025, 1, 16), datetime(2025, 1, 18)),
    )
    exchange.archive.edit("daily", SYMBOL, "2025-01-15", rows=lambda rows: with_value(rows, NOON, volume=456.0))
    ingest(settings)
    assert sources(settings) == {"archive_monthly": 1, "archive_daily": 2}
    ingest(settings, datetime(2025, 1, 15), datetime(2025, 1, 16), refresh=True)
    assert select(settings, f"select volume from candles_1m where open_time = '{NOON}'") == [(456.0,)]
    assert select(settings, "select open_time, old_volume, new_volume, applied from revisions") == [
        (NOON, 123.0, 456.0, True)
    ]


def test_rest_page_over_a_hole_corrects_the_minutes_beside_it(settings: Settings, exchange: LoopbackExchange) -> None:
    edges = [NOON - timedelta(hours=1), NOON + timedelta(hours=1)]

    def stale(rows: pa.Table) -> pa.Table:
        rows = with_value(rows, NOON, volume=123.0)
        for edge in edges:
            rows = without(rows, edge, edge + timedelta(minutes=1))
        return rows

    exchange.archive.edit("monthly", SYMBOL, "2025-01", rows=stale)
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert select(settings, "select open_time, old_volume, applied from revisions") == [(NOON, 123.0, True)]


def test_monthly_that_differs_from_stored_rest_is_kept_as_evidence_only(
    settings: Settings, exchange: LoopbackExchange
) -> None:
    ingest(settings, NOON, NOON + timedelta(hours=1), source="rest")
    exchange.archive.edit("monthly", SYMBOL, "2025-01", rows=lambda rows: with_value(rows, NOON, volume=123.0))
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert select(settings, "select open_time, new_volume, applied from revisions") == [(NOON, 123.0, False)]


def test_revised_file_is_seen_by_refresh_alone(settings: Settings, exchange: LoopbackExchange) -> None:
    ingest(settings)
    exchange.archive.edit("monthly", SYMBOL, "2025-01", rows=lambda rows: with_value(rows, NOON, volume=123.0))
    assert ingest(settings)[0].status == "up_to_date"
    result, _ = ingest(settings, refresh=True)
    assert (result.rows_added, result.rows_revised) == (0, 1)
    assert select(settings, "select open_time, new_volume, applied from revisions") == [(NOON, 123.0, True)]


def test_kept_file_is_used_instead_of_the_network(tmp_path: Path, exchange: LoopbackExchange) -> None:
    settings = make_settings(tmp_path, exchange.url, archive="keep_files = true")
    ingest(settings)
    kept = settings.data.raw_data_path / KEY
    file = exchange.archive.get(KEY)
    assert file is not None
    assert kept.read_bytes() == file.body
    settings.store.database.unlink()
    before = len(exchange.requests)
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    assert not [request for request in exchange.requests[before:] if "/data/" in request.path]
    assert select(settings, "select url from requests where source = 'archive_monthly'") == [(f"{exchange.url}/{KEY}",)]


def test_kept_file_that_was_damaged_is_fetched_anew(tmp_path: Path, exchange: LoopbackExchange) -> None:
    settings = make_settings(tmp_path, exchange.url, archive="keep_files = true")
    ingest(settings)
    kept = settings.data.raw_data_path / KEY
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    settings.store.database.unlink()
    ingest(settings)
    assert stored(settings).equals(served(exchange.market))
    file = exchange.archive.get(KEY)
    assert file is not None
    assert kept.read_bytes() == file.body


def test_refresh_compares_kept_files_with_the_checksums_of_the_archive(
    tmp_path: Path, exchange: LoopbackExchange
) -> None:
    settings = make_settings(tmp_path, exchange.url, archive="keep_files = true")
    ingest(settings)
    ingest(settings, refresh=True)
    assert paths(exchange, "/data/")[-1:] == [f"/{KEY}.CHECKSUM"]
    assert len(paths(exchange, "/data/")) == 3
    exchange.archive.edit("monthly", SYMBOL, "2025-01", rows=lambda rows: with_value(rows, NOON, volume=123.0))
    assert ingest(settings, refresh=True)[0].rows_revised == 1


def test_archive_alone_never_asks_rest_for_candles(tmp_path: Path) -> None:
    market = market_with_outage()
    with serve(market) as exchange:
        settings = make_settings(tmp_path, exchange.url)
        ingest(settings, source="archive")
        assert stored(settings).equals(served(market))
        assert [request.params["limit"] for request in exchange.requests.klines] == ["1"]
        # Its daily file is the last word on the minutes that it lacks.
        assert select(settings, "select range_start from requests where source = 'archive_daily'") == [
            (datetime(2025, 1, 11),)
        ]
        assert ingest(settings, source="archive")[0].status == "up_to_date"


def test_archive_alone_works_without_any_rest_host(tmp_path: Path, exchange: LoopbackExchange) -> None:
    settings = make_settings(tmp_path, "http://127.0.0.1:9", archive_url=exchange.url)
    result, _ = ingest(settings, JANUARY[0], None, source="archive")
    assert result.status == "ok"
    assert stored(settings).equals(served(exchange.market, JANUARY[0], datetime(2025, 2, 8)))


def test_archive_that_cannot_be_reached_leaves_it_all_to_rest(tmp_path: Path, exchange: LoopbackExchange) -> None:
    settings = make_settings(tmp_path, exchange.url, archive_url="http://127.0.0.1:9")
    span = datetime(2025, 1, 10), datetime(2025, 1, 20)
    result, notes = ingest(settings, *span)
    assert result.status == "ok"
    assert stored(settings).equals(served(exchange.market, *span))
    assert sources(settings) == {"rest": 1}
    assert notes


def test_symbol_unknown_to_both_is_said_to_be_unknown(settings: Settings, exchange: LoopbackExchange) -> None:
    result, _ = ingest(settings, symbol="NOSUCH")
    assert result.status == "failed"
    assert "has no symbol 'NOSUCH'" in str(result.error)
    assert len(exchange.requests.klines) == 1
    assert not paths(exchange, "daily")


def test_unknown_source_and_archive_switched_off_are_refused(tmp_path: Path, exchange: LoopbackExchange) -> None:
    settings = make_settings(tmp_path, exchange.url, archive="enabled = false")
    with pytest.raises(UsageError, match="The sources are auto, rest, archive"):
        ingest(settings, source="ftp")
    with pytest.raises(UsageError, match="enabled is false"):
        ingest(settings, source="archive")
    ingest(settings, datetime(2025, 1, 10), datetime(2025, 1, 12))
    assert sources(settings) == {"rest": 1}
    assert not paths(exchange, "/data/")


class _KilledError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_run_that_dies_at_any_commit_leaves_no_hole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int
) -> None:
    monkeypatch.setattr("threadx_duck.download.run.COMMIT_ROWS", 1)
    commit: Callable[[Downloader], None] = Downloader._commit
    commits = 0

    def commit_and_die(self: Downloader) -> None:
        nonlocal commits
        commits += bool(self._buffer.requests)
        if commits > killed_after:
            raise _KilledError
        commit(self)

    market = market_with_outage()
    with serve(market) as exchange:
        exchange.archive.edit(
            "monthly",
            SYMBOL,
            "2024-12",
            rows=lambda rows: without(rows, datetime(2024, 12, 9, 1), datetime(2024, 12, 9, 2)),
        )
        settings = make_settings(tmp_path, exchange.url)
        with monkeypatch.context() as patched:
            patched.setattr(Downloader, "_commit", commit_and_die)
            with pytest.raises(_KilledError):
                ingest(settings, START, None)
        last = stored(settings)["open_time"][-1].as_py()
        assert stored(settings).equals(served(market, START, last + timedelta(minutes=1)))
        ingest(settings, START, None)
        assert stored(settings).equals(served(market, START, END))


def test_rest_that_fails_over_a_hole_leaves_nothing_behind_the_hole(
    settings: Settings, exchange: LoopbackExchange
) -> None:
    ingest(settings, START, START + timedelta(hours=1))
    exchange.archive.edit("monthly", SYMBOL, "2024-12", rows=lambda rows: without(rows, *_an_hour(9)))
    exchange.fail(503, times=None, match="/api/v3/klines")
    result, _ = ingest(settings, START, JANUARY[1])
    assert result.status == "failed"
    assert stored(settings).num_rows == 60


def _an_hour(day: int) -> tuple[datetime, datetime]:
    start = datetime(2024, 12, day, 1)
    return start, start + timedelta(hours=1)


def test_symbols_side_by_side_are_each_whole(settings: Settings, exchange: LoopbackExchange) -> None:
    with IngestionManager(settings) as manager:
        results = manager.update_assets_batch([SYMBOL, "SOLUSDC"], START, None)
    assert {result.status for result in results.values()} == {"ok"}
    assert stored(settings).equals(served(exchange.market, START, END))
    assert stored(settings, "SOLUSDC").equals(served(exchange.market, START, END, "SOLUSDC"))


def test_symbol_name_cannot_lead_out_of_the_folder(tmp_path: Path, exchange: LoopbackExchange) -> None:
    settings = make_settings(tmp_path, exchange.url, archive="keep_files = true")
    for symbol in ("..\\..\\evil", "../../evil", "..", "a/b", "%2E%2E"):
        ingest(settings, symbol=symbol, source="archive")
    inside = {settings.data.raw_data_path, tmp_path / "paths.toml", tmp_path / "data", tmp_path / "logs"}
    assert all(any(path.is_relative_to(one) for one in inside) for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    "name", ["BTCUSDT-1h-2024-12", "BTCUSDT-1h-2025-01", "ETHUSDT-1h-2024-12", "ETHUSDT-1h-2025-01"]
)
def test_recorded_file_gives_its_own_times_and_values(recordings: Recordings, name: str) -> None:
    content = (recordings.members / f"{name}.csv").read_bytes()
    symbol, _, month = name.split("-", 2)
    klines = read_kline_csv(symbol, open_plain(content), name)
    rows = [line.split(",") for line in content.decode().splitlines()]
    start = datetime.fromisoformat(f"{month}-01")
    expected = [
        (
            symbol,
            start + timedelta(hours=number),
            *map(float, (*row[1:6], row[7])),
            int(row[8]),
            float(row[9]),
            float(row[10]),
        )
        for number, row in enumerate(rows)
    ]
    assert klines.rejected.num_rows == 0
    assert [tuple(row.values()) for row in klines.candles.to_pylist()] == expected


def test_recorded_futures_month_has_a_header_that_is_skipped(recordings: Recordings) -> None:
    path = recordings.members / "usdm" / "NEARUSDT-1m-2025-02.csv.gz"
    content = gzip.decompress(path.read_bytes())
    klines = read_kline_csv("NEARUSDT", open_plain(content), path.name)
    assert content[:1] == b"o"
    assert (klines.candles.num_rows, klines.rejected.num_rows) == (recordings.expect(small=720, whole=28 * 1440), 0)
    assert klines.candles["open_time"][0].as_py() == datetime(2025, 2, 1)


@pytest.mark.parametrize("content", [b"1,2,3", b"1,2,3\n" * 5, b"1,a,3,4,5,6,7,8,9,10,11,12\n"])
def test_text_without_a_single_candle_is_no_file(content: bytes) -> None:
    with pytest.raises(BadResponseError, match="holds no candles"):
        read_kline_csv(SYMBOL, open_plain(content), "x")
