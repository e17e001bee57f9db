-- rewrap_webhooks: args [{ id, old, new }]; answer: how many were changed.
-- Guarantees: compare-and-set on the wrapped key, as rewrap_emails.
create or replace function mailer.rewrap_webhooks(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_items jsonb := args;
  v_count integer;
begin
  update mailer.webhooks w set wrapped_key = i.new
  from jsonb_to_recordset(v_items) as i (id uuid, old text, new text)
  where w.id = i.id and w.wrapped_key = i.old;
  get diagnostics v_count = row_count;
  return v_count::text;
end
$$;

call mailer.offer('rewrap_webhooks', 'keys');
