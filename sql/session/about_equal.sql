-- about_equal: Whether a sum equals a reference but for its last digits: the order of adding is not fixed.
-- Parameters:
--   value DOUBLE: the sum
--   reference DOUBLE: what it is compared with
create or replace temp macro about_equal(value, reference) as
    abs(value - reference) <= 1e-9 + 1e-12 * abs(reference)
