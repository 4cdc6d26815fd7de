-- forget_users: Removes user names and passwords from the addresses that earlier versions stored.
update requests
set url = regexp_replace(url, '://[^/?#]*@', '://')
where regexp_matches(url, '://[^/?#]*@')
