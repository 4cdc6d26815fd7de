-- rejected_rows: Rows received that are off the minute grid or break an invariant; nothing received is thrown away.
-- Columns:
--   symbol: the exchange's string
--   minute: the row's open time floored to the minute, UTC; empty if it cannot be read
--   raw: the row as it was received
--   reason: the rule it breaks
--   request_id: the row of requests that brought it
create table if not exists rejected_rows (
    symbol varchar not null,
    minute timestamp,
    raw varchar not null,
    reason varchar not null,
    request_id bigint not null,
)
