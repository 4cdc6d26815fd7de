-- insert_revisions: Adds rows that were read from another store to revisions.
-- Reads the table incoming.
insert into revisions by name
select * from incoming
