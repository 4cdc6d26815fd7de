-- set_published: Marks a file as a read copy: when it was taken, and from which store.
-- Parameters:
--   $published_at TIMESTAMP: when the copy was taken, UTC
--   $published_from VARCHAR: path of the store
update store_info set published_at = $published_at, published_from = $published_from
