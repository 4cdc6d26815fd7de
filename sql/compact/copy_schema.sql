-- copy_schema: Creates every table, view and macro of the old database in the new one, with its comments.
copy from database old to new (schema)
