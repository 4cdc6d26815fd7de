-- lift_memory_limit: Gives what comes next the usual memory again, such as joins with what is stored.
reset memory_limit
