-- source_rank: The rank of a source: where answers differ, that of the higher or an equal rank holds.
-- Parameters:
--   source VARCHAR: as requests have it; one that is not known ranks lowest
create or replace temp macro source_rank(source) as
    coalesce(list_position(['import', 'archive_monthly', 'archive_daily', 'rest'], source), 0)
