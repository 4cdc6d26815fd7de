-- continue_revisions: Assigns to a request the revisions made by the answers that continue it.
-- Reads the table of the append: continued.
update revisions
set new_request_id = continued.continues
from continued
where revisions.new_request_id = continued.request_id
