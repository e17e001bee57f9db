-- dropped_signing_keys: args {}; answer [{ kid, dropped_at }].
create or replace function mailer.dropped_signing_keys(args text) returns text
language sql stable
as $$
  select coalesce(json_agg(json_build_object('kid', d.kid, 'dropped_at', d.dropped_at)
    order by d.kid), '[]')::text
  from mailer.dropped_signing_keys d
$$;

call mailer.offer('dropped_signing_keys', 'admin', 'authenticator');
