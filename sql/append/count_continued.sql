-- count_continued: Counts the incoming answers that continue a stored answer.
-- Reads the table of the append: continued.
-- Returns: one number.
select count(*) from continued
