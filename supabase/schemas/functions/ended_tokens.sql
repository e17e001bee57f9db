-- ended_tokens: args {}; answer [{ owner_id, not_before }].
create or replace function mailer.ended_tokens(args text) returns text
language sql stable
as $$
  select coalesce(json_agg(json_build_object('owner_id', t.owner_id, 'not_before', t.not_before)
    order by t.owner_id), '[]')::text
  from mailer.ended_tokens t
$$;

call mailer.offer('ended_tokens', 'authenticator');
