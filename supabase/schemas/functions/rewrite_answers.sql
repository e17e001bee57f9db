-- rewrite_answers: args [{ owner_id, path, key, old, new }]; answer: how many were changed.
-- Guarantees: compare-and-set on the ciphertext, as rewrap_emails.
create or replace function mailer.rewrite_answers(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_items jsonb := args;
  v_count integer;
begin
  perform 1 from mailer.idempotency_keys k
  join jsonb_to_recordset(v_items) as i (owner_id text, path text, key text)
    on k.owner_id = i.owner_id and k.path = i.path and k.key = i.key
  order by k.owner_id, k.path, k.key for update of k;
  update mailer.idempotency_keys k set response = i.new
  from jsonb_to_recordset(v_items) as i (owner_id text, path text, key text, old text, new text)
  where k.owner_id = i.owner_id and k.path = i.path and k.key = i.key and k.response = i.old;
  get diagnostics v_count = row_count;
  return v_count::text;
end
$$;

call mailer.offer('rewrite_answers', 'keys');
