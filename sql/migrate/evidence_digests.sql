-- evidence_digests: Counts the rows of evidence of each symbol, with a number that is equal for equal rows.
-- Returns: table_name, symbol, rows, digest.
select 'requests' as table_name, symbol, count(*) as rows, sum(hash(evidence)) as digest
from requests as evidence
group by symbol
union all
select 'rejected_rows' as table_name, symbol, count(*) as rows, sum(hash(evidence)) as digest
from rejected_rows as evidence
group by symbol
union all
select 'revisions' as table_name, symbol, count(*) as rows, sum(hash(evidence)) as digest
from revisions as evidence
group by symbol
union all
select 'native_candles' as table_name, symbol, count(*) as rows, sum(hash(evidence)) as digest
from native_candles as evidence
group by symbol
