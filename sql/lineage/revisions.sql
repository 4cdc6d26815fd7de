-- revisions: Selects what later answers changed, or would have changed, value by value.
-- Parameters:
--   $symbols VARCHAR[]: only these symbols; all if empty
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: symbol, open_time, field, old, new, old_source, new_source, old_request_id, new_request_id, applied,
--   revised_at; by symbol, open_time and revised_at. A candle that the later answer lacks is one row with
--   the field candle: old is its close, new is null.
with chosen as (
    select
        revision.*,
        coalesce(before.source, 'unknown') as old_source,
        coalesce(after.source, 'unknown') as new_source,
        new_open is null as is_removed,
    from revisions as revision
    left join requests as before on revision.old_request_id = before.request_id
    left join requests as after on revision.new_request_id = after.request_id
    where
        (len($symbols) = 0 or list_contains($symbols, revision.symbol))
        and revision.open_time >= $start
        and revision.open_time < $end
),
fields as (
    select
        *,
        unnest([
            {'place': 0, 'field': 'candle', 'old': old_close, 'new': new_close, 'differs': is_removed},
            {'place': 1, 'field': 'open', 'old': old_open, 'new': new_open, 'differs': not is_removed},
            {'place': 2, 'field': 'high', 'old': old_high, 'new': new_high, 'differs': not is_removed},
            {'place': 3, 'field': 'low', 'old': old_low, 'new': new_low, 'differs': not is_removed},
            {'place': 4, 'field': 'close', 'old': old_close, 'new': new_close, 'differs': not is_removed},
            {'place': 5, 'field': 'volume', 'old': old_volume, 'new': new_volume, 'differs': not is_removed},
            {'place': 6, 'field': 'quote_volume', 'old': old_quote_volume, 'new': new_quote_volume,
                'differs': not is_removed},
            {'place': 7, 'field': 'trade_count', 'old': old_trade_count::double, 'new': new_trade_count::double,
                'differs': not is_removed},
            {'place': 8, 'field': 'taker_buy_volume', 'old': old_taker_buy_volume, 'new': new_taker_buy_volume,
                'differs': not is_removed},
            {'place': 9, 'field': 'taker_buy_quote_volume', 'old': old_taker_buy_quote_volume,
                'new': new_taker_buy_quote_volume, 'differs': not is_removed},
        ]) as value,
    from chosen
)
select
    symbol,
    open_time,
    value.field as field,
    value.old as old,
    value.new as new,
    old_source,
    new_source,
    old_request_id,
    new_request_id,
    applied,
    revised_at,
from fields
where value.differs and value.old is distinct from value.new
order by symbol, open_time, revised_at, new_request_id, value.place
