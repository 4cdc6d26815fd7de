-- differing_candles: Selects the values of a symbol's minutes that differ between this store and the attached one.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of the range, UTC
--   $end TIMESTAMP: end of the range, exclusive
-- Returns: open_time, field, here, there; by time. Minutes that only one store has are left out.
with pairs as (
    select here, there
    from candles_1m as here
    inner join the_other_store.candles_1m as there on here.symbol = there.symbol and here.open_time = there.open_time
    where
        here.symbol = $symbol
        and here.open_time >= $start
        and here.open_time < $end
        and there.symbol = $symbol
        and there.open_time >= $start
        and there.open_time < $end
        and (
            here.open <> there.open
            or here.high <> there.high
            or here.low <> there.low
            or here.close <> there.close
            or here.volume <> there.volume
            or here.quote_volume is distinct from there.quote_volume
            or here.trade_count is distinct from there.trade_count
            or here.taker_buy_volume is distinct from there.taker_buy_volume
            or here.taker_buy_quote_volume is distinct from there.taker_buy_quote_volume
        )
),
fields as (
    select
        here.open_time as open_time,
        unnest([
            {'field': 'open', 'here': here.open, 'there': there.open},
            {'field': 'high', 'here': here.high, 'there': there.high},
            {'field': 'low', 'here': here.low, 'there': there.low},
            {'field': 'close', 'here': here.close, 'there': there.close},
            {'field': 'volume', 'here': here.volume, 'there': there.volume},
            {'field': 'quote_volume', 'here': here.quote_volume, 'there': there.quote_volume},
            {'field': 'trade_count', 'here': here.trade_count::double, 'there': there.trade_count::double},
            {'field': 'taker_buy_volume', 'here': here.taker_buy_volume, 'there': there.taker_buy_volume},
            {'field': 'taker_buy_quote_volume', 'here': here.taker_buy_quote_volume,
                'there': there.taker_buy_quote_volume},
        ]) as value,
    from pairs
)
select open_time, value.field as field, value.here as here, value.there as there
from fields
where value.here is distinct from value.there
order by open_time
