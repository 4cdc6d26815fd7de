-- insert_requests: Adds rows that were read from another store to requests.
-- Reads the table incoming.
insert into requests by name
select * from incoming
