-- current_snapshot: Selects the number of the lake's current state; every commit makes a new one.
-- Returns: one number.
select * from ducklake_current_snapshot(current_database())
