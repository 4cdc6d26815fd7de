"""What every program here does: reads while another process writes now and then, and reports what it saw."""

import json
import sys
import time

DATABASE = sys.argv[1]
CANDLES = "select symbol, count(*) as candles from candles_1h group by symbol order by symbol"
GAPS = "select reason, sum(missing) as missing from gaps group by reason order by reason"


def patiently(read):
    """Asks again for as long as another process holds the file, as a person would press Refresh."""
    for _ in range(200):
        try:
            return read()
        except Exception as error:
            if "lock" not in str(error):
                raise
            time.sleep(0.05)
    return read()


def report(tables, views, candles, *, comments=(), **more):
    """One line for the program that started this one."""
    names = sorted(map(str, tables)), sorted(map(str, views))
    counts = {str(symbol): int(count) for symbol, count in candles}
    seen = {"tables": names[0], "views": names[1], "candles": counts, "comments": list(comments), **more}
    sys.stdout.write(json.dumps(seen) + "\n")
