-- limit_memory: Lets a sort of five million candles spill to disk: half the memory for a third more time.
set memory_limit = '500MB'
