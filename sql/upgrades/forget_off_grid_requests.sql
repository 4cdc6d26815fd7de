-- forget_off_grid_requests: Deletes the requests for native candles of which some open where none of their timeframe does.
-- Earlier versions stored such answers; what was asked for is asked for again.
delete from requests
where (symbol, timeframe) in (
    select distinct symbol, timeframe
    from native_candles
    where open_time <> case timeframe
        when '1mo' then date_trunc('month', open_time)
        when '1w' then date_trunc('week', open_time)
        when '3d' then date_trunc('day', open_time)
        else time_bucket(
            replace(replace(replace(timeframe, 'm', ' minutes'), 'h', ' hours'), 'd', ' days')::interval, open_time
        )
    end
)
