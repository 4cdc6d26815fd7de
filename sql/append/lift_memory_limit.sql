-- lift_memory_limit: Gives joins with what is stored the usual memory again.
reset memory_limit
