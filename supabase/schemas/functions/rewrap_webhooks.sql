-- rewrap_webhooks: args [{ id, old, new }]; answer: how many were changed.
-- Guarantees: compare-and-set on the wrapped key, as rewrap_emails.
create or replace function mailer.rewrap_webhooks(args text) returns text
language sql set search_path = ''
as $$
  with changed as (
    update mailer.webhooks w set wrapped_key = i.new
    from jsonb_to_recordset(args::jsonb) as i (id uuid, old text, new text)
    where w.id = i.id and w.wrapped_key = i.old returning 1
  )
  select count(*)::text from changed
$$;

call mailer.offer('rewrap_webhooks', 'keys');
