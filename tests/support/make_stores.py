"""Writes the store and the read copy of this version into ``tests/data/stores``.

``python -m tests.support.make_stores`` does it.

To be run once for each `SCHEMA_VERSION`, before it is raised; what is there already is never written again.
"""

from __future__ import annotations

import gzip
import tempfile
from dataclasses import replace
from datetime import UTC
from pathlib import Path

from tests.conftest import END, OUTAGE, START
from threadx_duck.config import get_settings
from threadx_duck.ingest import IngestionManager
from threadx_duck.simulator import LoopbackExchange, generate_market
from threadx_duck.storage.schema import SCHEMA_VERSION
from threadx_duck.upkeep.publish import publish

STORES = Path(__file__).parents[1] / "data" / "stores"


def main() -> None:
    """Ingests a day of the tests' market and verifies an hour of it, so that no table but one is empty."""
    market = generate_market(["BTCUSDC"], start=START, end=END, outages=[OUTAGE])
    with LoopbackExchange(market, now=END.replace(tzinfo=UTC)) as exchange, tempfile.TemporaryDirectory() as folder:
        settings = get_settings()
        settings = replace(
            settings,
            store=replace(settings.store, database=Path(folder) / "store.duckdb"),
            api=replace(settings.api, base_url=exchange.url),
            archive=replace(settings.archive, enabled=False),
        )
        with IngestionManager(settings) as manager:
            manager.update_assets_batch(["BTCUSDC"], "2024-01-01", "2024-01-01")
            manager.verify(["BTCUSDC"], "1h")
            copy = publish(manager.store, settings.store, Path(folder) / "copy.duckdb")
            for path, kind in ((manager.store.path, "store"), (copy.path, "copy")):
                target = STORES / f"schema-{SCHEMA_VERSION}-{kind}.duckdb.gz"
                if not target.exists():
                    target.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


if __name__ == "__main__":
    main()
