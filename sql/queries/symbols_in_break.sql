-- symbols_in_break: Symbols without candles on the last day of what is conclusive, and asked for lately.
-- Parameters:
--   $since TIMESTAMP: only symbols whose candles after the last stored one were asked for since then, UTC
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
group by spans.symbol
having max(request.requested_at) > $since
order by spans.symbol
