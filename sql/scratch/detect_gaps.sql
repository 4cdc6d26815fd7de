-- detect_gaps: Selects the runs of absent minutes of all symbols, regardless of their reason.
-- Returns: symbol, gap_start, gap_end, missing; by symbol and time.
select symbol, gap_start, gap_end, missing
from gaps
order by symbol, gap_start
