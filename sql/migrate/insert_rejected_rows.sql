-- insert_rejected_rows: Adds rows that were read from another store to rejected_rows.
-- Reads the table incoming.
insert into rejected_rows by name
select * from incoming
