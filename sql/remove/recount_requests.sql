-- recount_requests: Recounts the remaining candles that each request brought.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
update requests
set
    -- A candle that a request brought is stored, or a later request replaced or removed it.
    rows_added = (
        (select count(*) from candles_1m as c where c.symbol = $symbol and c.request_id = requests.request_id)
        + (
            select count(*) filter (where r.old_request_id = requests.request_id)
                - count(*) filter (where r.new_request_id = requests.request_id and r.new_open is not null)
            from revisions as r
            where r.symbol = $symbol and r.applied
        )
    ),
    rows_revised = (
        select count(*)
        from revisions as r
        where r.symbol = $symbol and r.applied and r.new_request_id = requests.request_id
    ),
    rows_rejected = (
        select count(*) from rejected_rows as r where r.symbol = $symbol and r.request_id = requests.request_id
    )
where symbol = $symbol and timeframe = '1m'
