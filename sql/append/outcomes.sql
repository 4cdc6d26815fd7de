-- outcomes: What came of the incoming answers.
-- Reads the table of the append: counted.
-- Returns: request_id, rows_added, rows_revised of each.
-- Not by a returning clause: a lake has none.
select request_id, rows_added, rows_revised from counted
