-- current_snapshot: The number of the current state of the lake; every commit makes another.
-- Returns: the number.
select * from ducklake_current_snapshot(current_database())
