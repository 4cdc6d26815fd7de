-- resample_differences: Counts the derived candles that differ from those computed from the stored minutes.
-- Reads the table given: the derived candles to judge. Prices must be equal; about_equal compares the sums.
-- A candle that reaches beyond the stored minutes on either side cannot be recomputed and is not judged.
-- Parameters:
--   $width VARCHAR: width of a candle, as text of an interval
-- Returns: one number.
with spans as (
    select symbol, min(open_time) as first_open_time, max(open_time) + interval '1 minute' as until
    from candles_1m
    group by symbol
),
recomputed as (
    select candle.*
    from candles(
        null,
        $width::interval,
        (select min(first_open_time) from spans) - $width::interval,
        (select max(until) from spans)
    ) as candle
),
pairs as (
    select
        coalesce(mine.symbol, given.symbol) as symbol,
        coalesce(mine.open_time, given.open_time) as open_time,
        mine.open_time is null or given.open_time is null
            or mine.open is distinct from given.open
            or mine.high is distinct from given.high
            or mine.low is distinct from given.low
            or mine.close is distinct from given.close
            or not coalesce(about_equal(given.volume, mine.volume), false)
            or not coalesce(
                about_equal(given.quote_volume, mine.quote_volume),
                mine.quote_volume is null and given.quote_volume is null
            )
            or mine.trade_count is distinct from given.trade_count
            or not coalesce(
                about_equal(given.taker_buy_volume, mine.taker_buy_volume),
                mine.taker_buy_volume is null and given.taker_buy_volume is null
            )
            or not coalesce(
                about_equal(given.taker_buy_quote_volume, mine.taker_buy_quote_volume),
                mine.taker_buy_quote_volume is null and given.taker_buy_quote_volume is null
            ) as differs,
    from recomputed as mine
    full join given on mine.symbol = given.symbol and mine.open_time = given.open_time
)
select count(*) as differences
from pairs
left join spans on pairs.symbol = spans.symbol
where
    pairs.differs
    and not coalesce(
        pairs.open_time < spans.until
        and pairs.open_time + $width::interval > spans.first_open_time
        and (pairs.open_time < spans.first_open_time or pairs.open_time + $width::interval > spans.until),
        false
    )
