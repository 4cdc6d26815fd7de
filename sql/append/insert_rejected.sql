-- insert_rejected: Adds the incoming rows that cannot be candles.
-- Reads the tables of the append: incoming_rejected.
insert into rejected_rows by name
select * from incoming_rejected
