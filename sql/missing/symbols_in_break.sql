-- symbols_in_break: Selects the symbols that lacked candles for a day at their last, recent request up to the clock.
-- A request that ended long before its own clock, such as one for a pause years ago, proves nothing about the present.
-- Parameters:
--   $since TIMESTAMP: only symbols that were requested up to the clock since then, UTC
--   $late INTERVAL: how long before its clock a conclusive request may end
-- Returns: symbol, asked_until (end of the conclusive range); by symbol.
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
