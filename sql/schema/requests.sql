-- requests: The ledger of evidence: each range asked of a source, and what it answered.
-- Columns:
--   request_id: unique without coordination, also across machines
--   symbol: the exchange's string
--   timeframe: 1m, or that of native candles; gaps and planning read 1m only
--   source: rest, archive_daily, archive_monthly or import
--   range_start: start of the range the answer is conclusive for, UTC
--   range_end: end of that range, exclusive, UTC; equal to range_start if conclusive for nothing
--   pages: how many answers the exchange gave for this range
--   url: where the (first) answer came from; of an import, the file's name
--   sha256: hash of the file, or of the bodies of all answers in order; each later answer that goes on where this
--       one ends, within its UTC day, makes it the hash of the hexadecimal text so far and that of its own bodies
--   rows_received: candles received, the ones already stored or rejected included
--   rows_added: candles that were not stored before
--   rows_revised: stored candles that this answer replaced or removed
--   rows_rejected: rows that went to rejected_rows
--   requested_at: when it was asked, or last continued, by the exchange's clock, UTC
--   seconds: how long the answer took
create table if not exists requests (
    request_id bigint not null,
    symbol varchar not null,
    timeframe varchar not null,
    source varchar not null,
    range_start timestamp not null,
    range_end timestamp not null,
    pages bigint not null,
    url varchar not null,
    sha256 varchar not null,
    rows_received bigint not null,
    rows_added bigint not null,
    rows_revised bigint not null,
    rows_rejected bigint not null,
    requested_at timestamp not null,
    seconds double not null,
)
