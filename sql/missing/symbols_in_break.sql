-- symbols_in_break: Symbols that had no candle for a day when they were last asked for up to the clock, and that lately.
-- A request that ended long before its own clock tells nothing of the present: a pause of a year, asked about later.
-- Parameters:
--   $since TIMESTAMP: only symbols that were asked for up to the clock since then, UTC
--   $late INTERVAL: so long before its clock a conclusive request may end
-- Returns: symbol, asked_until (end of what is conclusive); by symbol.
with spans as (
    select symbol, max(open_time) as last_open_time
    from candles_1m
    group by symbol
)
select spans.symbol, max(request.range_end) as asked_until
from spans
inner join requests as request
    on spans.symbol = request.symbol
    and request.timeframe = '1m'
    and request.range_end > spans.last_open_time + interval '1 day'
    and request.requested_at > $since
    and request.range_end >= request.requested_at - $late
group by spans.symbol
order by spans.symbol
