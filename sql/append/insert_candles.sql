-- insert_candles: Adds the incoming candles that are not stored, or whose stored values were just replaced.
-- Reads the tables of the append: incoming, incoming_requests, stored.
insert into candles_1m by name
with kept as (
    select old.symbol, old.open_time
    from stored as old
    anti join revisions as revision
        on old.symbol = revision.symbol
        and old.open_time = revision.open_time
        and old.new_request_id = revision.new_request_id
        and revision.applied
)
select new.*
from incoming as new
anti join kept on new.symbol = kept.symbol and new.open_time = kept.open_time
