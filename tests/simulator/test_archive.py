"""The loopback exchange's bulk archive, asked over real HTTP."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from io import BytesIO
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
import requests

from tests.support.recordings import Recordings
from threadx_duck.errors import UsageError
from threadx_duck.simulator import LoopbackExchange, Market, SymbolMarket, generate_market

START = datetime(2024, 12, 30, tzinfo=UTC)
END = datetime(2025, 2, 2, tzinfo=UTC)
S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"

Fetch = Callable[..., requests.Response]


def key(date: str, *, symbol: str = "BTCUSDC", interval: str = "1m") -> str:
    kind = "daily" if len(date) == 10 else "monthly"
    return f"data/spot/{kind}/klines/{symbol}/{interval}/{symbol}-{interval}-{date}.zip"


@pytest.fixture(scope="module")
def market() -> Market:
    return generate_market(
        ["BTCUSDC", "ETHUSDC"],
        start=START,
        end=END,
        listings={"ETHUSDC": datetime(2025, 1, 31, 12, tzinfo=UTC)},
        outages=[(datetime(2025, 1, 10, tzinfo=UTC), datetime(2025, 1, 11, 6, tzinfo=UTC))],
    )


@pytest.fixture
def exchange(market: Market) -> Iterator[LoopbackExchange]:
    with LoopbackExchange(Market(market), now=END + timedelta(days=5)) as serving:
        yield serving


@pytest.fixture
def fetch(exchange: LoopbackExchange) -> Iterator[Fetch]:
    with requests.Session() as session:
        session.trust_env = False

        def get(path: str, headers: dict[str, str] | None = None, **params: str) -> requests.Response:
            return session.get(f"{exchange.url}/{path}", headers=headers, params=params, timeout=10)

        yield get


def member(reply: requests.Response) -> bytes:
    """The bytes of the only file in a zip."""
    assert reply.status_code == 200
    with zipfile.ZipFile(BytesIO(reply.content)) as file:
        (name,) = file.namelist()
        return file.read(name)


def lines(reply: requests.Response) -> list[list[str]]:
    return [line.split(",") for line in member(reply).decode().splitlines()]


# Files


def test_daily_file_holds_the_minutes_that_open_that_day(fetch: Fetch) -> None:
    reply = fetch(key("2024-12-31"))
    rows = lines(reply)
    assert len(rows) == 1440
    assert (rows[0][0], rows[-1][0]) == ("1735603200000", "1735689540000")
    with zipfile.ZipFile(BytesIO(reply.content)) as file:
        assert file.namelist() == ["BTCUSDC-1m-2024-12-31.csv"]


def test_file_is_plain_csv_with_the_values_of_rest(exchange: LoopbackExchange, fetch: Fetch) -> None:
    text = member(fetch(key("2024-12-31"))).decode()
    reply = fetch("api/v3/klines", symbol="BTCUSDC", interval="1m", startTime="1735603200000", limit="1000").json()
    expected = "".join(",".join(map(str, row)) + "\n" for row in reply)
    assert text.startswith(expected)
    assert text.endswith("\n")
    assert "\r" not in text


def test_file_from_2025_is_in_microseconds(fetch: Fetch) -> None:
    before, after = (lines(fetch(key(date)))[0] for date in ("2024-12", "2025-01"))
    assert (before[0], before[6]) == ("1735516800000", "1735516859999")
    assert (after[0], after[6]) == ("1735689600000000", "1735689659999999")


def test_monthly_file_is_the_daily_ones_together(fetch: Fetch) -> None:
    days = [member(fetch(key(f"2024-12-{day}"))) for day in (30, 31)]
    assert member(fetch(key("2024-12"))) == b"".join(days)


def test_file_of_a_day_with_an_outage_lacks_its_minutes(fetch: Fetch) -> None:
    assert len(lines(fetch(key("2025-01-11")))) == 1080
    assert fetch(key("2025-01-10")).status_code == 404


def test_files_of_other_intervals_are_their_candles(exchange: LoopbackExchange, fetch: Fetch) -> None:
    assert len(lines(fetch(key("2024-12-31", interval="1h")))) == 24
    weeks = lines(fetch(key("2025-01", interval="1w")))
    assert [row[0] for row in weeks] == [
        str(open_time) for open_time in (1736121600000000, 1736726400000000, 1737331200000000, 1737936000000000)
    ]
    month = lines(fetch(key("2025-01", interval="1mo")))
    assert [(row[0], row[6]) for row in month] == [("1735689600000000", "1738367999999999")]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(key("2024-12-29"), id="before-the-listing"),
        pytest.param(key("2024-12-30", symbol="NOSUCH"), id="unknown-symbol"),
        pytest.param(key("2024-12-31", interval="1w"), id="daily-week"),
        pytest.param(key("2024-12-31", interval="1M"), id="month-by-its-rest-name"),
        pytest.param(key("2024-13-01"), id="no-such-month"),
        pytest.param(key("2024-02-31"), id="no-such-day"),
        pytest.param("data/spot/daily/klines/BTCUSDC/1m/ETHUSDC-1m-2024-12-31.zip", id="symbols-differ"),
        pytest.param("data/futures/um/daily/klines/BTCUSDC", id="not-spot"),
    ],
)
def test_file_that_is_not_there_is_404(fetch: Fetch, name: str) -> None:
    assert fetch(name).status_code == 404
    assert fetch(f"{name}.CHECKSUM").status_code == 404


@pytest.mark.parametrize(
    ("name", "published"),
    [
        pytest.param(key("2025-01-30"), datetime(2025, 1, 31, 3, tzinfo=UTC), id="daily"),
        pytest.param(key("2025-01"), datetime(2025, 2, 3, tzinfo=UTC), id="monthly"),
    ],
)
def test_file_is_there_once_it_is_published(
    exchange: LoopbackExchange, fetch: Fetch, name: str, published: datetime
) -> None:
    exchange.now = published - timedelta(seconds=1)
    assert [fetch(name + end).status_code for end in ("", ".CHECKSUM")] == [404, 404]
    exchange.now = published
    reply = fetch(name)
    assert reply.status_code == 200
    assert parsedate_to_datetime(reply.headers["Last-Modified"]) == published


def test_publication_times_can_be_chosen(market: Market) -> None:
    now = datetime(2025, 1, 9, 23, tzinfo=UTC)
    with (
        LoopbackExchange(
            market, now=now, daily_published_after=timedelta(hours=23), monthly_published_day=10
        ) as serving,
        requests.Session() as session,
    ):
        session.trust_env = False
        statuses = [
            session.get(f"{serving.url}/{key(date)}", timeout=10).status_code for date in ("2025-01-08", "2024-12")
        ]
    assert statuses == [200, 404]


def test_checksum_is_the_zips_in_the_form_of_sha256sum(fetch: Fetch) -> None:
    digest = hashlib.sha256(fetch(key("2024-12")).content).hexdigest()
    assert fetch(key("2024-12") + ".CHECKSUM").text == f"{digest}  BTCUSDC-1m-2024-12.zip\n"


def test_file_unchanged_is_304(fetch: Fetch) -> None:
    etag = fetch(key("2024-12-31")).headers["ETag"]
    again = fetch(key("2024-12-31"), headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


def test_file_range_is_the_part_asked_for(fetch: Fetch) -> None:
    whole = fetch(key("2024-12-31")).content
    part = fetch(key("2024-12-31"), headers={"Range": "bytes=100-199"})
    rest = fetch(key("2024-12-31"), headers={"Range": "bytes=200-"})
    assert (part.status_code, part.headers["Content-Range"]) == (206, f"bytes 100-199/{len(whole)}")
    assert whole[:100] + part.content + rest.content == whole


def test_archive_requests_are_recorded_and_cost_no_weight(exchange: LoopbackExchange, fetch: Fetch) -> None:
    reply = fetch(key("2024-12-31"), headers={"Range": "bytes=5-"})
    assert not [name for name in reply.headers if name.startswith("X-MBX")]
    (request,) = exchange.requests
    assert (request.path, request.symbol, request.interval) == (f"/{key('2024-12-31')}", "BTCUSDC", "1m")
    assert (request.status, request.headers["range"]) == (206, "bytes=5-")
    assert fetch("api/v3/ping").headers["X-MBX-USED-WEIGHT-1M"] == "1"


def test_prepared_files_are_the_same(market: Market) -> None:
    now = START + timedelta(days=3)
    replies = []
    for prepared in (False, True):
        with LoopbackExchange(market, now=now) as serving, requests.Session() as session:
            session.trust_env = False
            if prepared:
                serving.archive.prepare()
            replies.append(session.get(f"{serving.url}/{key('2024-12-31')}", timeout=10).content)
    assert replies[0] == replies[1]


@pytest.mark.parametrize("month", ["2024-12", "2025-01"])
def test_member_of_recorded_candles_is_byte_for_byte_the_exchanges(recordings: Recordings, month: str) -> None:
    names = ["open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume"]
    names += ["trade_count", "taker_buy_volume", "taker_buy_quote_volume", "ignore"]
    recorded = recordings.members / f"ETHUSDT-1h-{month}.csv"
    table = pyarrow.csv.read_csv(recorded, read_options=pyarrow.csv.ReadOptions(column_names=names))
    factor = 1 if month.startswith("2025") else 1000
    opened = pc.multiply(table["open_time"], factor).cast(pa.timestamp("us"))
    candles = table.drop_columns(["open_time", "close_time", "ignore"]).append_column("open_time", opened)
    market = Market({"ETHUSDT": SymbolMarket(candles, native={"1h": candles})})
    with (
        LoopbackExchange(market, now=datetime(2025, 3, 1, tzinfo=UTC)) as serving,
        requests.Session() as session,
    ):
        session.trust_env = False
        path = key(month, symbol="ETHUSDT", interval="1h")
        ours = member(session.get(f"{serving.url}/{path}", timeout=10)).splitlines()
    theirs = recorded.read_bytes().splitlines()
    assert len(ours) == len(theirs)
    for our_line, their_line in zip(ours, theirs, strict=True):
        ours_fields, their_fields = our_line.split(b","), their_line.split(b",")
        assert [len(field) for field in ours_fields] == [len(field) for field in their_fields]
        # A double does not hold all sixteen digits of the largest sums.
        assert ours_fields[:7] == their_fields[:7]
        assert list(map(float, ours_fields)) == list(map(float, their_fields))


# Odd files


def shifted(table: pa.Table, by: timedelta) -> pa.Table:
    return table.set_column(0, "open_time", pc.add(table["open_time"], pa.scalar(by, pa.duration("us"))))


def checked(fetch: Fetch, name: str) -> bool:
    """Whether a zip agrees with its checksum."""
    digest = hashlib.sha256(fetch(name).content).hexdigest()
    return fetch(name + ".CHECKSUM").text.startswith(digest)


def test_edited_file_with_a_header_has_it_first(exchange: LoopbackExchange, fetch: Fetch) -> None:
    exchange.archive.edit("daily", "BTCUSDC", "2024-12-31", header=True)
    rows = lines(fetch(key("2024-12-31")))
    assert rows[0][0] == "open_time"
    assert len(rows[0]) == len(rows[1]) == 12
    assert len(rows) == 1441
    assert checked(fetch, key("2024-12-31"))


def test_edited_file_cut_short_has_a_valid_checksum(exchange: LoopbackExchange, fetch: Fetch) -> None:
    exchange.archive.edit("monthly", "BTCUSDC", "2025-01", lambda table: table.slice(0, 10_080))
    assert len(lines(fetch(key("2025-01")))) == 10_080
    assert checked(fetch, key("2025-01"))


def test_edited_file_with_off_grid_rows_keeps_their_order(exchange: LoopbackExchange, fetch: Fetch) -> None:
    def add(table: pa.Table) -> pa.Table:
        odd = shifted(table.slice(0, 1), timedelta(seconds=20, milliseconds=799))
        return pa.concat_tables([table.slice(0, 1), odd, table.slice(1)])

    exchange.archive.edit("daily", "BTCUSDC", "2024-12-31", add)
    rows = lines(fetch(key("2024-12-31")))
    assert [row[0] for row in rows[:3]] == ["1735603200000", "1735603220799", "1735603260000"]


def test_edited_month_differs_from_its_days_in_one_value(exchange: LoopbackExchange, fetch: Fetch) -> None:
    def change(table: pa.Table) -> pa.Table:
        volumes = [table["volume"][0].as_py() + 1, *table["volume"].to_pylist()[1:]]
        return table.set_column(table.schema.get_field_index("volume"), "volume", pa.array(volumes))

    exchange.archive.edit("monthly", "BTCUSDC", "2024-12", change)
    month, day = lines(fetch(key("2024-12"))), lines(fetch(key("2024-12-30")))
    assert float(month[0][5]) == pytest.approx(float(day[0][5]) + 1)
    assert month[1 : len(day)] == day[1:]


@pytest.mark.parametrize(
    ("checksum", "expected"),
    [
        pytest.param(lambda line: line.rstrip("\n"), True, id="no-newline"),
        pytest.param(lambda line: "0" * 64 + line[64:], False, id="wrong"),
    ],
)
def test_edited_checksum_leaves_the_zip_alone(
    exchange: LoopbackExchange, fetch: Fetch, checksum: Callable[[str], str], expected: bool
) -> None:
    good = fetch(key("2024-12-31")).content
    exchange.archive.edit("daily", "BTCUSDC", "2024-12-31", checksum=checksum)
    assert fetch(key("2024-12-31")).content == good
    assert checked(fetch, key("2024-12-31")) is expected


def test_spoiled_file_does_not_agree_with_its_checksum(exchange: LoopbackExchange, fetch: Fetch) -> None:
    exchange.archive.edit("daily", "BTCUSDC", "2024-12-31", spoil=lambda body: body[:-100])
    assert not checked(fetch, key("2024-12-31"))
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(BytesIO(fetch(key("2024-12-31")).content))


def test_edited_member_may_be_no_text(exchange: LoopbackExchange, fetch: Fetch) -> None:
    exchange.archive.edit("daily", "BTCUSDC", "2024-12-31", csv=lambda text: b"\xff\xfe" + text)
    assert member(fetch(key("2024-12-31"))).startswith(b"\xff\xfe1735603200000,")
    assert checked(fetch, key("2024-12-31"))


def test_put_bytes_replace_a_file_and_its_checksum(exchange: LoopbackExchange, fetch: Fetch) -> None:
    exchange.archive.put(key("2024-12-31"), b"junk")
    assert fetch(key("2024-12-31")).content == b"junk"
    assert checked(fetch, key("2024-12-31"))
    exchange.archive.put(key("2024-12-31") + ".CHECKSUM", b"no checksum")
    assert fetch(key("2024-12-31") + ".CHECKSUM").text == "no checksum"


def test_removed_file_is_404(exchange: LoopbackExchange, fetch: Fetch) -> None:
    exchange.archive.remove(key("2024-12-31"))
    assert [fetch(key("2024-12-31") + end).status_code for end in ("", ".CHECKSUM")] == [404, 404]
    assert fetch(key("2024-12-30")).status_code == 200


def test_revised_file_has_another_checksum_and_date(exchange: LoopbackExchange, fetch: Fetch) -> None:
    before = fetch(key("2024-12-31"))
    candles = exchange.market["BTCUSDC"].candles
    exchange.market.replace("BTCUSDC", candles.slice(0, 2 * 1440 - 10))
    after = fetch(key("2024-12-31"))
    assert len(lines(after)) == 1430
    assert after.headers["ETag"] != before.headers["ETag"]
    assert parsedate_to_datetime(after.headers["Last-Modified"]) == exchange.now
    assert checked(fetch, key("2024-12-31"))


def test_edit_of_no_file_is_refused(exchange: LoopbackExchange) -> None:
    with pytest.raises(UsageError, match="No daily archive file is named for BTCUSDC 1m 2024-12"):
        exchange.archive.edit("daily", "BTCUSDC", "2024-12")


@pytest.mark.parametrize("kind", [403, 503, "html_200"])
def test_faults_strike_archive_requests_too(exchange: LoopbackExchange, fetch: Fetch, kind: int) -> None:
    exchange.fail(kind, match="/data/")
    assert fetch("api/v3/ping").text == "{}"
    assert fetch(key("2024-12-31")).text.startswith("<")
    assert fetch(key("2024-12-31")).status_code == 200


def test_fault_cut_body_of_a_zip_is_half_of_it(exchange: LoopbackExchange, fetch: Fetch) -> None:
    exchange.fail("cut_body", match="BTCUSDC")
    half, whole = (fetch(key("2024-12-31")).content for _ in range(2))
    assert half == whole[: len(whole) // 2]


# Listings


def listed(reply: requests.Response) -> tuple[list[str], list[str], str | None]:
    """The keys, the folders and the marker of the next page."""
    root = ElementTree.fromstring(reply.content)
    keys = [entry.findtext(f"{S3}Key", "") for entry in root.iter(f"{S3}Contents")]
    folders = [entry.findtext(f"{S3}Prefix", "") for entry in root.iter(f"{S3}CommonPrefixes")]
    cut = root.findtext(f"{S3}IsTruncated") == "true"
    assert cut == (root.findtext(f"{S3}NextMarker") is not None)
    return keys, folders, root.findtext(f"{S3}NextMarker")


def test_listing_of_a_folder_has_zips_and_checksums(fetch: Fetch) -> None:
    prefix = "data/spot/monthly/klines/BTCUSDC/1m/"
    reply = fetch("", delimiter="/", prefix=prefix)
    months = [key(month) for month in ("2024-12", "2025-01")]
    expected = [name for month in months for name in (month, month + ".CHECKSUM")]
    assert listed(reply) == (expected, [], None)
    entry = ElementTree.fromstring(reply.content).find(f"{S3}Contents")
    assert entry is not None
    file = fetch(months[0])
    assert entry.findtext(f"{S3}Size") == str(len(file.content))
    assert entry.findtext(f"{S3}ETag") == file.headers["ETag"]
    assert entry.findtext(f"{S3}LastModified") == "2025-01-03T00:00:00.000Z"


def test_listing_descends_by_common_prefixes(fetch: Fetch) -> None:
    seen = [""]
    while True:
        _, folders, _ = listed(fetch("data.binance.vision", delimiter="/", prefix=seen[-1]))
        if not folders:
            break
        seen.append(folders[0])
    assert seen[1:4] == ["data/", "data/spot/", "data/spot/daily/"]
    assert seen[-1] == "data/spot/daily/klines/BTCUSDC/12h/"


def test_listing_of_symbols_has_those_with_files(exchange: LoopbackExchange, fetch: Fetch) -> None:
    prefix = "data/spot/daily/klines/"
    assert listed(fetch("", delimiter="/", prefix=prefix))[1] == [prefix + "BTCUSDC/", prefix + "ETHUSDC/"]
    exchange.now = datetime(2025, 1, 31, 23, tzinfo=UTC)
    assert listed(fetch("", delimiter="/", prefix=prefix))[1] == [prefix + "BTCUSDC/"]
    assert listed(fetch("", delimiter="/", prefix=prefix + "ETH"))[1] == []


def test_listing_of_an_unknown_prefix_is_empty(fetch: Fetch) -> None:
    assert listed(fetch("", delimiter="/", prefix="data/spot/daily/klines/NOSUCH/1m/")) == ([], [], None)


def test_listing_in_pages_goes_on_from_the_marker(fetch: Fetch) -> None:
    params = {"delimiter": "/", "prefix": "data/spot/daily/klines/BTCUSDC/1d/"}
    whole, _, _ = listed(fetch("", **params))
    pieces: list[str] = []
    marker: str | None = ""
    while marker is not None:
        keys, _, marker = listed(fetch("", marker=marker, **params, **{"max-keys": "7"}))
        assert len(keys) <= 7
        pieces += keys
    assert pieces == whole == sorted(whole)
    # 33 full days and one without a minute; two files per day
    assert len(whole) == 33 * 2


def test_listing_has_at_most_a_thousand_keys() -> None:
    days = 600
    start = datetime(2023, 1, 1, tzinfo=UTC)
    daily = pa.table(
        {
            "open_time": pa.array(
                [(start + timedelta(days=day)).replace(tzinfo=None) for day in range(days)],
                pa.timestamp("us"),
            ),
            **{name: [1.0] * days for name in ("open", "high", "low", "close", "volume")},
        }
    )
    market = Market({"A": SymbolMarket(daily)})
    with (
        LoopbackExchange(market, now=start + timedelta(days=days + 1)) as serving,
        requests.Session() as session,
    ):
        session.trust_env = False
        params = {"delimiter": "/", "prefix": "data/spot/daily/klines/A/1m/", "marker": ""}
        keys, _, marker = listed(session.get(serving.url, params=params, timeout=30))
        assert (len(keys), marker) == (1000, keys[-1])
        rest, _, end = listed(session.get(serving.url, params=params | {"marker": marker}, timeout=30))
    assert (len(rest), end) == (200, None)


def test_listing_without_a_delimiter_is_of_all_keys_below(exchange: LoopbackExchange, fetch: Fetch) -> None:
    exchange.now = datetime(2024, 12, 31, 12, tzinfo=UTC)
    reply = fetch("", **{"prefix": "data/spot/daily/klines/BTCUSDC/1", "list-type": "2"})
    names = [name.rpartition("/")[2] for name in listed(reply)[0]]
    assert names == [
        f"BTCUSDC-{interval}-2024-12-30.zip{end}"
        for interval in ("12h", "15m", "1d", "1h", "1m")
        for end in ("", ".CHECKSUM")
    ]


def test_listing_has_what_was_put_and_not_what_was_removed(exchange: LoopbackExchange, fetch: Fetch) -> None:
    exchange.archive.put("data/futures/um/junk.zip", b"junk")
    exchange.archive.remove(key("2024-12"))
    assert listed(fetch("", delimiter="/", prefix="data/"))[1] == ["data/futures/", "data/spot/"]
    names = listed(fetch("", delimiter="/", prefix="data/futures/um/"))[0]
    assert names == ["data/futures/um/junk.zip", "data/futures/um/junk.zip.CHECKSUM"]
    months = listed(fetch("", delimiter="/", prefix="data/spot/monthly/klines/BTCUSDC/1m/"))[0]
    assert months[0] == key("2025-01")
