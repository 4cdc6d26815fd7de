-- percent_complete: Gives the stored share in hundredths of a percent: 100 only if no minute lacks, 0 only if all do.
-- Parameters:
--   candles BIGINT: number of stored minutes
--   expected BIGINT: number of minutes that count, stored or not
create or replace temp macro percent_complete(candles, expected) as
    -- In whole numbers, rounded down: a double could round one minute of ten million away.
    case
        when candles >= expected then 100.0
        when candles <= 0 then 0.0
        else greatest(1, candles::bigint * 10000 // expected::bigint) / 100.0
    end::double
