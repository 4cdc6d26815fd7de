-- detect_gaps: The runs of absent minutes of all symbols, whatever their reason.
-- Returns: symbol, gap_start, gap_end, missing; by symbol and time.
select symbol, gap_start, gap_end, missing
from gaps
order by symbol, gap_start
