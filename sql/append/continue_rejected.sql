-- continue_rejected: Gives the rejected rows of answers that continue a request to that request.
-- Reads the table of the append: continued.
update rejected_rows
set request_id = continued.continues
from continued
where rejected_rows.request_id = continued.request_id
