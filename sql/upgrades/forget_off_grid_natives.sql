-- forget_off_grid_natives: Deletes the native candles whose requests are gone.
delete from native_candles
where not exists (from requests where requests.request_id = native_candles.request_id)
