-- about_equal: Tells whether a sum equals a reference except in its last digits, as the order of adding is not fixed.
-- Parameters:
--   value DOUBLE: the sum
--   reference DOUBLE: the value it is compared with
create or replace temp macro about_equal(value, reference) as
    abs(value - reference) <= 1e-9 + 1e-12 * abs(reference)
