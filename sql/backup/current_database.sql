-- current_database: The name under which this connection knows its database.
-- Returns: one name.
select current_database()
