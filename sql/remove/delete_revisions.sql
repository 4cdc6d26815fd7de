-- delete_revisions: Deletes the rows of revisions in the removed range.
-- Parameters:
--   $symbol VARCHAR: the exchange's string
--   $start TIMESTAMP: start of what is removed, UTC
--   $end TIMESTAMP: its end, exclusive
delete from revisions
where symbol = $symbol and open_time >= $start and open_time < $end
