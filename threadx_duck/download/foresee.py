"""Plans a dry run: asks for the listing of each new symbol, and for nothing else."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from threadx_duck.download.fetch import Sources, SymbolDownload
from threadx_duck.download.plan import Planner, SymbolPlan
from threadx_duck.download.results import SymbolResult
from threadx_duck.errors import DownloadError


def foresee(
    plans: Sequence[SymbolPlan], planner: Planner, sources: Sources, at_once: int, stop: threading.Event
) -> list[SymbolResult]:
    """Returns the plan of each symbol from its first candle on; ``at_once`` symbols are asked about at a time.

    A symbol whose listing cannot be found has failed, with the reason; it does not stop the others.
    """

    def ask(plan: SymbolPlan) -> SymbolResult:
        download = SymbolDownload(plan, planner, sources, stop, lookahead=1)
        try:
            found = download.plan_from_listing()
        except DownloadError as error:
            return SymbolResult(plan.symbol, "failed", error=str(error), plan=SymbolPlan(plan.symbol, ()))
        return SymbolResult(plan.symbol, "planned" if found.requests else "up_to_date", plan=found)

    pool = ThreadPoolExecutor(at_once, thread_name_prefix="listing")
    try:
        return list(pool.map(ask, plans))
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
