-- continue_rejected: Assigns to a request the rejected rows of the answers that continue it.
-- Reads the table of the append: continued.
update rejected_rows
set request_id = continued.continues
from continued
where rejected_rows.request_id = continued.request_id
