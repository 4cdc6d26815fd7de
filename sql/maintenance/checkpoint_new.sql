-- checkpoint_new: Writes the log of the new database into its file.
checkpoint new
