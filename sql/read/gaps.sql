-- gaps: Selects the gaps in a range, clipped to it.
-- Parameters:
--   $symbols VARCHAR[]: only these symbols; all if empty
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: symbol, gap_start, gap_end, missing, reason, symbols_asked, symbols_absent; by symbol and time.
select
    symbol,
    greatest(gap_start, $start) as gap_start,
    least(gap_end, $end) as gap_end,
    date_diff('minute', greatest(gap_start, $start), least(gap_end, $end)) as missing,
    reason,
    symbols_asked,
    symbols_absent,
from gaps
where
    (len($symbols) = 0 or list_contains($symbols, symbol))
    and gap_start < $end
    and gap_end > $start
order by symbol, gap_start
