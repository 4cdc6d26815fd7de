-- outcomes: Selects how many rows each incoming answer added and revised.
-- Reads the table of the append: counted.
-- Returns: request_id, rows_added, rows_revised; one row per answer.
-- A returning clause would be shorter, but DuckLake does not support it.
select request_id, rows_added, rows_revised from counted
