-- limit_memory: Keeps what is written from being held in memory as well, while the parsers need it.
set memory_limit = '80MB'
