-- recount_requests: Counts anew what remains of the candles that requests brought.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
update requests
set
    -- What a request brought is stored, or was replaced or removed by a later one.
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
