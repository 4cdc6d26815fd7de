-- forget_users: Takes the user name and password out of the addresses that earlier versions kept.
update requests
set url = regexp_replace(url, '://[^/?#]*@', '://')
where regexp_matches(url, '://[^/?#]*@')
