-- insert_requests: Adds the ledger rows of the incoming answers, with their counts of added and revised rows.
-- Reads the table of the append: counted.
insert into requests by name
select * from counted
