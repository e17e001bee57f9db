-- stale_webhooks: endpoints whose data key another key than this one wraps. args { key_id };
-- answer [{ id, owner_id, wrapped_key }].
create or replace function mailer.stale_webhooks(args text) returns text
language sql stable set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', w.id, 'owner_id', w.owner_id,
    'wrapped_key', w.wrapped_key) order by w.id), '[]')::text
  from mailer.webhooks w where mailer.key_of(w.wrapped_key) <> args::jsonb ->> 'key_id'
$$;

call mailer.offer('stale_webhooks', 'keys');
