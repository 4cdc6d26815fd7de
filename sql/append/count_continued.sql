-- count_continued: How many incoming answers go on where a stored one ends.
-- Reads the table of the append: continued.
-- Returns: the number.
select count(*) from continued
