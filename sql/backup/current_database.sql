-- current_database: Selects the name that this connection uses for its database.
-- Returns: one name.
select current_database()
