-- list_admin_keys: args {}; answer { keys: [] }: those that count and act as an admin, at most 100, the
-- oldest first.
create or replace function mailer.list_admin_keys(args text) returns text
language sql stable
as $$
  select json_build_object('keys', coalesce(json_agg(mailer.api_key_json(k)
    order by k.created_at, k.id), '[]'))::text
  from mailer.api_keys k
  where k.id in (select a.id from mailer.api_keys a
    where 'admin' = any (a.scopes) and a.revoked_at is null
      and (a.expires_at is null or a.expires_at > clock_timestamp())
    order by a.created_at, a.id limit 100)
$$;

call mailer.offer('list_admin_keys', 'metrics');
