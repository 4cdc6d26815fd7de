-- record_revisions: Records where an incoming answer differs from the stored candles, and which of the two is kept.
-- Reads the tables of the append: incoming, incoming_requests, incoming_rejected, stored.
insert into revisions by name
with changed as (
    select
        old.symbol,
        old.open_time,
        new.request_id as new_request_id,
        new.open as new_open,
        new.high as new_high,
        new.low as new_low,
        new.close as new_close,
        new.volume as new_volume,
        new.quote_volume as new_quote_volume,
        new.trade_count as new_trade_count,
        new.taker_buy_volume as new_taker_buy_volume,
        new.taker_buy_quote_volume as new_taker_buy_quote_volume,
    from stored as old
    inner join incoming as new on old.symbol = new.symbol and old.open_time = new.open_time
    -- A value that the answer lacks, as imports may, counts as no difference.
    where
        new.open <> old.open
        or new.high <> old.high
        or new.low <> old.low
        or new.close <> old.close
        or new.volume <> old.volume
        or new.quote_volume is distinct from old.quote_volume and new.quote_volume is not null
        or new.trade_count is distinct from old.trade_count and new.trade_count is not null
        or new.taker_buy_volume is distinct from old.taker_buy_volume and new.taker_buy_volume is not null
        or new.taker_buy_quote_volume is distinct from old.taker_buy_quote_volume and new.taker_buy_quote_volume is not null
),
absent as (
    select
        old.symbol,
        old.open_time,
        answer.request_id as new_request_id,
    from stored as old
    inner join incoming_requests as answer
        on old.symbol = answer.symbol
        and old.open_time >= answer.range_start
        and old.open_time < answer.range_end
    anti join incoming as new on old.symbol = new.symbol and old.open_time = new.open_time
    -- The exchange did send a row for a rejected minute, but an unusable one: that does not prove absence.
    anti join incoming_rejected as rejected on old.symbol = rejected.symbol and old.open_time = rejected.minute
),
differences as (
    select * from changed
    union all by name
    select * from absent
)
select
    old.symbol,
    old.open_time,
    old.open as old_open,
    old.high as old_high,
    old.low as old_low,
    old.close as old_close,
    old.volume as old_volume,
    old.quote_volume as old_quote_volume,
    old.trade_count as old_trade_count,
    old.taker_buy_volume as old_taker_buy_volume,
    old.taker_buy_quote_volume as old_taker_buy_quote_volume,
    difference.new_open,
    difference.new_high,
    difference.new_low,
    difference.new_close,
    difference.new_volume,
    difference.new_quote_volume,
    difference.new_trade_count,
    difference.new_taker_buy_volume,
    difference.new_taker_buy_quote_volume,
    old.request_id as old_request_id,
    difference.new_request_id,
    source_rank(answer.source) >= old.rank as applied,
    answer.requested_at as revised_at,
from differences as difference
inner join stored as old on difference.symbol = old.symbol and difference.open_time = old.open_time
inner join incoming_requests as answer on difference.new_request_id = answer.request_id
