-- set_created_at: Takes over when the store was made whose content this one has now.
-- Parameters:
--   $created_at TIMESTAMP: when that was, UTC
update store_info set created_at = $created_at
