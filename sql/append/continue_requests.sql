-- continue_requests: Extends ledger rows by the answers that continue them.
-- Reads the table of the append: continued.
update requests
set
    range_end = answer.range_end,
    pages = requests.pages + answer.pages,
    sha256 = sha256(requests.sha256 || answer.sha256),
    rows_received = requests.rows_received + answer.rows_received,
    rows_added = requests.rows_added + answer.rows_added,
    rows_revised = requests.rows_revised + answer.rows_revised,
    rows_rejected = requests.rows_rejected + answer.rows_rejected,
    requested_at = answer.requested_at,
    seconds = requests.seconds + answer.seconds
from (
    select continued.continues, added.*
    from continued
    inner join requests as added on added.request_id = continued.request_id
) as answer
where requests.request_id = answer.continues
