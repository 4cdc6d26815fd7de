-- gaps: the absent minutes of each symbol between its first and last candle, as runs with one reason.
-- Columns:
--   symbol: the exchange's string
--   gap_start: first absent minute, UTC
--   gap_end: end of the gap, exclusive, UTC
--   missing: number of absent minutes
--   reason: not_downloaded, rejected, outage or not_published; the first of these that holds, by what is stored
--   symbols_asked: symbols of the store with evidence for the first minute, in their own lifetime then
--   symbols_absent: those of symbols_asked that have no candle in the first minute
create or replace view gaps as
with days as materialized (
    -- Count and sum tell a whole day from the rest far cheaper than ordering all candles. The sum is
    -- there for stores with duplicates: the count alone would let one of them stand for an absent minute.
    select
        symbol,
        open_time::date as day,
        date_trunc('minute', min(open_time)) as first_minute,
        date_trunc('minute', max(open_time)) as last_minute,
        count(*) = date_diff('minute', first_minute, last_minute) + 1
            and 2 * sum(epoch_us(open_time))
                = count(*)::hugeint * (epoch_us(min(open_time)) + epoch_us(max(open_time))) as is_whole,
    from candles_1m
    group by symbol, open_time::date
),
stretches as materialized (
    select symbol, first_minute, last_minute
    from days
    where is_whole
    union all
    select candles.symbol, date_trunc('minute', candles.open_time), date_trunc('minute', candles.open_time)
    from candles_1m as candles
    join days on candles.symbol = days.symbol and candles.open_time::date = days.day
    where not days.is_whole
),
absences as materialized (
    select
        symbol,
        last_minute + interval '1 minute' as since,
        lead(first_minute) over (partition by symbol order by first_minute) as until,
    from stretches
    qualify until > since
),
intervals as materialized (
    select symbol, since, until, 1 as absent, 0 as listed, 0 as asked, 0 as rejected
    from absences
    union all
    select symbol, min(first_minute), max(last_minute) + interval '1 minute', 0, 1, 0, 0
    from days
    group by symbol
    union all
    select symbol, range_start, range_end, 0, 0, 1, 0
    from requests
    where timeframe = '1m' and range_start < range_end
    union all
    select symbol, minute, minute + interval '1 minute', 0, 0, 0, 1
    from rejected_rows
    where minute is not null
),
steps as materialized (
    -- Where one range of the ledger ends and the next starts nothing changes: most rows vanish before the sort.
    select
        symbol,
        moment,
        sum(absent) as absent,
        sum(listed) as listed,
        sum(asked) as asked,
        sum(rejected) as rejected,
    from (
        select symbol, since as moment, absent, listed, asked, rejected
        from intervals
        union all
        select symbol, until, -absent, -listed, -asked, -rejected
        from intervals
    ) as edges
    group by symbol, moment
    having sum(absent) <> 0 or sum(listed) <> 0 or sum(asked) <> 0 or sum(rejected) <> 0
),
pieces as materialized (
    select
        symbol,
        moment as since,
        lead(moment) over by_time as until,
        sum(absent) over by_time > 0 as is_absent,
        sum(listed) over by_time > 0 and sum(asked) over by_time > 0 as is_asked,
        sum(rejected) over by_time > 0 as is_rejected,
    from steps
    window by_time as (partition by symbol order by moment)
),
market as materialized (
    select
        moment as since,
        lead(moment) over by_time as until,
        sum(sum(asked)) over by_time as symbols_asked,
        sum(sum(absent)) over by_time as symbols_absent,
    from (
        select since as moment, 1 as asked, is_absent::integer as absent
        from pieces
        where is_asked
        union all
        select until, -1, -is_absent::integer
        from pieces
        where is_asked
    ) as edges
    group by moment
    window by_time as (order by moment)
),
outages as materialized (
    select min(since) as since, max(until) as until
    from (
        select
            since,
            until,
            symbols_asked >= 2 and 10 * symbols_absent >= 9 * symbols_asked as is_lacking,
            -- Neighbours that lack alike stand between the same two that do not.
            sum(case when is_lacking then 0 else 1 end) over (order by since) as run,
        from market
    ) as runs
    where is_lacking
    group by run
    having max(until) <= min(since) + interval '72 hours'
),
cuts as materialized (
    select symbol, since, until, is_asked, is_rejected
    from pieces
    where is_absent
    union all
    select pieces.symbol, edges.moment, pieces.until, pieces.is_asked, pieces.is_rejected
    from pieces
    join (select since as moment from outages union select until from outages) as edges
        on edges.moment > pieces.since and edges.moment < pieces.until
    where pieces.is_absent
),
parts as materialized (
    select
        symbol,
        since,
        coalesce(lead(since) over (partition by symbol, until order by since), until) as until,
        is_asked,
        is_rejected,
    from cuts
),
reasoned as materialized (
    select
        parts.symbol,
        parts.since,
        parts.until,
        case
            when not parts.is_asked then 'not_downloaded'
            when parts.is_rejected then 'rejected'
            when parts.since < outages.until then 'outage'
            else 'not_published'
        end as reason,
        coalesce(market.symbols_asked, 0) as symbols_asked,
        coalesce(market.symbols_absent, 0) as symbols_absent,
    from parts
    asof left join outages on parts.since >= outages.since
    asof left join market on parts.since >= market.since
),
runs as materialized (
    -- The end less all minutes of the same reason so far: equal for parts that touch, and only for these.
    select
        *,
        until - interval '1 minute' * sum(date_diff('minute', since, until))
            over (partition by symbol, reason order by since)::bigint as run,
    from reasoned
)
select
    symbol,
    min(since) as gap_start,
    max(until) as gap_end,
    date_diff('minute', min(since), max(until)) as missing,
    reason,
    arg_min(symbols_asked, since)::bigint as symbols_asked,
    arg_min(symbols_absent, since)::bigint as symbols_absent,
from runs
group by symbol, reason, run
