-- unexplained_gap: Finds gaps that were never downloaded, or whose candles were rejected.
-- Columns:
--   symbol: the exchange's string
--   open_time: first absent minute, UTC
--   gap_end: end of the gap, exclusive, UTC
--   missing: number of absent minutes
--   reason: not_downloaded or rejected
select symbol, gap_start as open_time, gap_end, missing, reason
from gaps
where reason in ('not_downloaded', 'rejected')
