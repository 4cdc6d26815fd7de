-- count_requests: Counts the rows that each incoming answer added and revised, for its row in the ledger.
-- Reads the tables of the append: incoming, incoming_requests, stored.
create or replace temporary table counted as
with added as (
    select new.request_id, count(*) as rows_added
    from incoming as new
    anti join stored as old on new.symbol = old.symbol and new.open_time = old.open_time
    group by new.request_id
),
revised as (
    select new_request_id as request_id, count(*) as rows_revised
    from revisions
    where applied and new_request_id in (select request_id from incoming_requests)
    group by new_request_id
)
select
    answer.* exclude (first_minute, last_minute),
    coalesce(added.rows_added, 0) as rows_added,
    coalesce(revised.rows_revised, 0) as rows_revised,
from incoming_requests as answer
left join added on answer.request_id = added.request_id
left join revised on answer.request_id = revised.request_id
