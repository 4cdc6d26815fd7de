"""`threadx_duck.audit.fingerprints`: hashes of candles' values that anybody can recompute."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tests.support.evidence_helpers import MINUTE, manager_of, tamper, threadx
from threadx_duck.audit.fingerprints import compute_fingerprint, hash_candles
from threadx_duck.candles.klines import VALUE_FIELDS
from threadx_duck.errors import UsageError
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, generate_market

pytestmark = pytest.mark.slow

TURN = datetime(2023, 12, 31, 20)
INTEGERS = {"open_time", "trade_count"}
UNKNOWN = ("quote_volume", "trade_count", "taker_buy_volume", "taker_buy_quote_volume")
SCHEMA = pa.schema([pa.field("open_time", pa.timestamp("us")), *VALUE_FIELDS])


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[IngestionManager]:
    """Two symbols over the turn of a year."""
    market = generate_market(["BTCUSDC", "ETHUSDC"], start=TURN, end=datetime(2024, 1, 1, 6), quiet={"ETHUSDC": 0.5})
    with LoopbackExchange(market) as exchange, manager_of(tmp_path, exchange) as manager:
        manager.update_assets_batch(["BTCUSDC", "ETHUSDC"])
        yield manager


def recompute(rows: list[dict[str, Any]]) -> str:
    """The hash of rows in order of time, by the description alone."""
    epoch = datetime(1970, 1, 1)
    data = b""
    for name in SCHEMA.names:
        for row in rows:
            value = row[name]
            if name == "open_time":
                value = (value - epoch) // MINUTE * 60_000_000
            if value is None:
                data += bytes(8)
            elif value != value:
                data += bytes.fromhex("000000000000f87f")
            else:
                data += struct.pack("<q" if name in INTEGERS else "<d", value or 0)
    for name in UNKNOWN:
        data += bytes(row[name] is not None for row in rows)
    return hashlib.sha256(data).hexdigest()


def table(**changes: list[Any]) -> pa.Table:
    """Three candles, with some columns changed."""
    values: dict[str, list[Any]] = {field.name: [1.5, 2.5, 3.5] for field in VALUE_FIELDS}
    values |= {"trade_count": [1, 2, 3], "open_time": [TURN, TURN + MINUTE, TURN + 2 * MINUTE]} | changes
    return pa.table({name: values[name] for name in SCHEMA.names}, schema=SCHEMA)


@pytest.mark.slow
def test_fingerprint_is_what_its_description_says(manager: IngestionManager) -> None:
    found = compute_fingerprint(manager.store)
    assert [(month.symbol, month.month, month.candles) for month in found.months] == [
        ("BTCUSDC", "2023-12", 240),
        ("BTCUSDC", "2024-01", 360),
        ("ETHUSDC", "2023-12", 240),
        ("ETHUSDC", "2024-01", 360),
    ]
    for month in found.months:
        rows = [
            row for row in manager.candles(month.symbol, "1m").to_pylist() if f"{row['open_time']:%Y-%m}" == month.month
        ]
        assert recompute(rows) == month.sha256
    lines = "".join(f"{month.symbol} {month.month} {month.candles} {month.sha256}\n" for month in found.months)
    assert found.sha256 == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"quote_volume": [None, 2.5, None], "trade_count": [None, None, None]},
        {"volume": [0.0, -0.0, 1e300]},
        {"open": [float("nan"), 5e-324, 0.1]},
        {"taker_buy_volume": [None, 0.0, -0.0], "taker_buy_quote_volume": [float("inf"), -float("inf"), 1.0]},
    ],
    ids=str,
)
def test_hash_of_odd_values_is_what_its_description_says(changes: dict[str, list[Any]]) -> None:
    candles = table(**changes)
    assert hash_candles(candles) == recompute(candles.to_pylist())


def test_hash_does_not_depend_on_order_chunks_or_kind_of_zero_and_nan() -> None:
    other_nan = struct.unpack("<d", bytes.fromhex("0100000000000c7ff0"[:16]))[0]
    one = table(volume=[0.0, 1.0, 2.0])
    assert hash_candles(one.take([2, 0, 1])) == hash_candles(one)
    assert hash_candles(pa.concat_tables([one.slice(0, 1), one.slice(1)])) == hash_candles(one)
    assert hash_candles(table(volume=[-0.0, 1.0, 2.0])) == hash_candles(one)
    assert hash_candles(table(open=[-float("nan"), 1.0, other_nan])) == hash_candles(
        table(open=[float("nan"), 1.0, other_nan])
    )


def test_hash_tells_unknown_from_zero() -> None:
    assert hash_candles(table(trade_count=[None, 2, 3])) != hash_candles(table(trade_count=[0, 2, 3]))


def test_fingerprint_is_equal_for_the_same_values_from_other_requests_in_other_order(
    manager: IngestionManager,
) -> None:
    before = compute_fingerprint(manager.store)
    with duckdb.connect(str(manager.store.path)) as connection:
        connection.execute("create or replace temporary table copy as from candles_1m order by hash(open_time)")
        connection.execute("delete from candles_1m")
        connection.execute("insert into candles_1m select * replace (request_id + 1 as request_id) from copy")
    assert compute_fingerprint(manager.store) == before


def test_changed_value_changes_its_month_alone(manager: IngestionManager) -> None:
    before = compute_fingerprint(manager.store)
    tamper(manager, f"update candles_1m set volume = volume + 1e-8 where symbol = 'ETHUSDC' and open_time = '{TURN}'")
    after = compute_fingerprint(manager.store)
    changed = [month.month for month, other in zip(before.months, after.months, strict=True) if month != other]
    assert changed == ["2023-12"]
    assert before.sha256 != after.sha256
    assert compute_fingerprint(manager.store, ["BTCUSDC"]) == compute_fingerprint(manager.store, ["BTCUSDC", "BTCUSDC"])


def test_fingerprint_of_a_range_covers_only_its_candles(manager: IngestionManager) -> None:
    found = compute_fingerprint(manager.store, ["BTCUSDC"], datetime(2024, 1, 1, 1), datetime(2024, 1, 1, 2))
    assert [(month.month, month.candles) for month in found.months] == [("2024-01", 60)]
    assert compute_fingerprint(manager.store, start=datetime(2025, 1, 1)).months == ()
    with pytest.raises(UsageError, match="Not stored: XUSDC"):
        compute_fingerprint(manager.store, ["XUSDC"])


def test_fingerprint_command_prints_the_document_and_nothing_else(
    manager: IngestionManager, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compute_fingerprint(manager.store, ["ETHUSDC"])
    assert threadx(tmp_path, "fingerprint", "ETHUSDC", "--json") == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {
        "symbols": [
            {"symbol": m.symbol, "month": m.month, "candles": m.candles, "sha256": m.sha256} for m in found.months
        ],
        "sha256": found.sha256,
    }
    assert shown.err == ""
    assert threadx(tmp_path, "fingerprint") == 0
    assert compute_fingerprint(manager.store).sha256 in capsys.readouterr().out


def test_fingerprint_of_a_fixed_candle_never_changes() -> None:
    # Pinned: whoever changes what is hashed breaks every pinned result.
    assert hash_candles(table()) == recompute(table().to_pylist())
    assert hash_candles(table()) == "9c01506f77158df06ee009800151522a89dfeaff47630be480f43ef132c24081"


def test_months_are_told_apart_by_utc(manager: IngestionManager) -> None:
    assert datetime(2024, 1, 1, tzinfo=UTC).replace(tzinfo=None) == TURN + 240 * MINUTE
    found = compute_fingerprint(manager.store, ["BTCUSDC"], TURN + 239 * MINUTE, TURN + 241 * MINUTE)
    assert [(month.month, month.candles) for month in found.months] == [("2023-12", 1), ("2024-01", 1)]
