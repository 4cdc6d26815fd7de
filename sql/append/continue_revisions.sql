-- continue_revisions: Gives the revisions made by answers that continue a request to that request.
-- Reads the table of the append: continued.
update revisions
set new_request_id = continued.continues
from continued
where revisions.new_request_id = continued.request_id
