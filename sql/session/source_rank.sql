-- source_rank: Gives the rank of a source: a later answer replaces a stored one of equal or lower rank.
-- Parameters:
--   source VARCHAR: as in the table requests; an unknown source ranks lowest
create or replace temp macro source_rank(source) as
    coalesce(list_position(['import', 'archive_monthly', 'archive_daily', 'rest'], source), 0)
