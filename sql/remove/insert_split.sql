-- insert_split: Adds the parts of split requests that lie beyond the end of the removed range.
-- Parameters:
--   $end TIMESTAMP: end of the removed range, exclusive, UTC
insert into requests by name
select request.* replace (split.right_id as request_id, $end as range_start)
from requests as request
inner join split on request.request_id = split.request_id
