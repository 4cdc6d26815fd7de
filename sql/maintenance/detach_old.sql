-- detach_old: Closes the old database.
detach old
