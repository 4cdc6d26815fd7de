-- detach_new: Closes the new database.
detach new
