-- gaps: The absent minutes of each symbol between its first and last candle, as runs with one reason.
-- Columns:
--   symbol: the exchange's string, such as BTCUSDC
--   gap_start: first absent minute, UTC
--   gap_end: end of the gap, exclusive, UTC
--   missing: number of absent minutes
--   reason: not_downloaded, rejected, outage or not_published; the first that holds, judged by what is stored
--   symbols_asked: symbols whose first and last candle enclose the first minute and that were asked for it
--   symbols_absent: how many of symbols_asked have no candle in the first minute
create or replace view gaps as
-- The days that are not whole give the absences. One sweep over these, each symbol's lifetime, the ledger and the
-- rejected rows cuts time into pieces of equal evidence; a second one over all symbols finds the outages; a third one
-- gives the reasons. Every interval ends within its symbol, so running sums are zero at the next one: no `partition
-- by`, which would cost memory. Materialized: DuckDB before 1.2 would evaluate the chain again at each use.
with days as materialized (
    -- Count and sum find the whole days at far lower cost than sorting all candles. By count alone
    -- one duplicate could hide an absent minute; with the sum it takes two, placed evenly around two absent ones.
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
hours as materialized (
    -- The same for the hours of days that are not whole, which leaves few minutes to sort.
    select
        symbol,
        date_trunc('hour', open_time) as hour,
        date_trunc('minute', min(open_time)) as first_minute,
        date_trunc('minute', max(open_time)) as last_minute,
        count(*) = date_diff('minute', first_minute, last_minute) + 1
            and 2 * sum(epoch_us(open_time))
                = count(*)::hugeint * (epoch_us(min(open_time)) + epoch_us(max(open_time))) as is_whole,
    from (
        select candles.symbol, candles.open_time
        from candles_1m as candles
        inner join days on candles.symbol = days.symbol and candles.open_time::date = days.day and not days.is_whole
    ) as candles
    group by symbol, date_trunc('hour', open_time)
),
stretches as materialized (
    select symbol, first_minute, last_minute
    from days
    where is_whole
    union all
    select symbol, first_minute, last_minute
    from hours
    where is_whole
    union all
    -- A candle off the grid counts for the minute that contains it.
    select candles.symbol, date_trunc('minute', candles.open_time), date_trunc('minute', candles.open_time)
    from candles_1m as candles
    inner join hours on candles.symbol = hours.symbol and date_trunc('hour', candles.open_time) = hours.hour
    where not hours.is_whole
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
    -- The sums are zero where one requested range ends and the next starts: this drops most of a long ledger.
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
    window by_time as (order by symbol, moment)
),
market as materialized (
    select
        moment as since,
        lead(moment) over by_time as until,
        sum(asked) as asked,
        sum(absent) as absent,
        sum(sum(asked)) over by_time >= 2
            and 10 * sum(sum(absent)) over by_time >= 9 * sum(sum(asked)) over by_time as is_lacking,
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
        -- All pieces of one run come after the same number of pieces that do not lack candles.
        select since, until, is_lacking, sum(case when is_lacking then 0 else 1 end) over (order by since) as run
        from market
    ) as numbered
    where is_lacking
    group by run
    having max(until) <= min(since) + interval '72 hours'
),
parts as materialized (
    -- The first sweep again, with the outages added to every symbol that has gaps. A range join would be shorter,
    -- but quadratic where two quiet symbols have thousands of outages.
    select
        symbol,
        moment as since,
        lead(moment) over by_time as until,
        sum(absent) over by_time > 0 as is_absent,
        case
            when sum(asked) over by_time = 0 then 'not_downloaded'
            when sum(rejected) over by_time > 0 then 'rejected'
            when sum(outage) over by_time > 0 then 'outage'
            else 'not_published'
        end as reason,
    from (
        select symbol, moment, absent, asked, rejected, 0 as outage
        from steps
        union all
        select symbol, since, 0, 0, 0, 1
        from (select distinct symbol from absences) as symbols
        cross join outages
        union all
        select symbol, until, 0, 0, 0, -1
        from (select distinct symbol from absences) as symbols
        cross join outages
    ) as edges
    window by_time as (order by symbol, moment)
    qualify is_absent and until > since
),
located as materialized (
    -- A sweep finds the counts at each start: an asof join was quadratic on DuckDB 2.0.
    select
        symbol,
        since,
        until,
        reason,
        sum(asked) over (order by since) as symbols_asked,
        sum(absent) over (order by since) as symbols_absent,
    from (
        select symbol, since, until, reason, 0 as asked, 0 as absent
        from parts
        union all
        select null, since, null, null, asked, absent
        from market
    ) as events
    qualify symbol is not null
),
runs as materialized (
    -- The end minus all minutes of this reason so far is equal for parts that touch, and only for them.
    select
        *,
        until - interval '1 minute'
            * sum(date_diff('minute', since, until)) over (order by symbol, reason, since)::bigint as run,
    from located
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
