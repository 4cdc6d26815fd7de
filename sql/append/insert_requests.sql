-- insert_requests: Adds the ledger rows of the incoming answers, with what came of them.
-- Reads the table of the append: counted.
insert into requests by name
select * from counted
