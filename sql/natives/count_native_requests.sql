-- count_native_requests: Counts the native candles that each answer added and revised, for its row in the ledger.
-- Reads the tables of the append: incoming, incoming_requests, stored.
create or replace temporary table counted as
with compared as (
    select
        new.request_id,
        count(*) filter (where old.open_time is null) as rows_added,
        count(*) filter (
            where
                old.open <> new.open
            or old.high <> new.high
            or old.low <> new.low
            or old.close <> new.close
            or old.volume <> new.volume
            or old.quote_volume <> new.quote_volume
            or old.trade_count <> new.trade_count
            or old.taker_buy_volume <> new.taker_buy_volume
            or old.taker_buy_quote_volume <> new.taker_buy_quote_volume
        ) as rows_revised,
    from incoming as new
    inner join incoming_requests as answer on new.request_id = answer.request_id
    left join stored as old
        on new.symbol = old.symbol
        and answer.timeframe = old.timeframe
        and new.open_time = old.open_time
    group by new.request_id
)
select
    answer.* exclude (first_minute, last_minute),
    coalesce(compared.rows_added, 0) as rows_added,
    coalesce(compared.rows_revised, 0) as rows_revised,
from incoming_requests as answer
left join compared on answer.request_id = compared.request_id
