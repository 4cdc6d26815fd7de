-- delete_continued: Removes the ledger rows of answers that were merged into another row.
-- Reads the table of the append: continued.
delete from requests
where request_id in (select request_id from continued)
