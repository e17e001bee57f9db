-- dropped_signing_keys: args {}; answer [{ kid, dropped_at }].
create or replace function mailer.dropped_signing_keys(args text) returns text
language sql stable
as $$
  select coalesce(json_agg(json_build_object('kid', d.kid, 'dropped_at', d.dropped_at)
    order by d.kid), '[]')::text
  from mailer.dropped_signing_keys d
$$;

revoke execute on function mailer.dropped_signing_keys(text) from public;
grant execute on function mailer.dropped_signing_keys(text) to mailer_service;
insert into mailer.functions (name, roles) values ('dropped_signing_keys', array['admin', 'authenticator'])
  on conflict (name) do update set roles = excluded.roles;
