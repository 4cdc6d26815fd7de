-- set_created_at: Sets when the store was made to the time of the store whose content this one has now.
-- Parameters:
--   $created_at TIMESTAMP: when that was, UTC
update store_info set created_at = $created_at
