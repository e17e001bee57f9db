-- rewrap_emails: puts data keys under another key, and what was made with the former index key.
-- args [{ id, version, old, new, recipients: [{ position, address_index }],
--         failure: { old_group, new_group, old_domain, new_domain } | null }];
-- answer: how many were changed.
-- Guarantees: compare-and-set on the wrapped key and the version, so that nothing is lost that
-- was changed since it was read, nothing comes back that was shredded, and any number of
-- rotations may run at once. Content, version and sequence stay as they are.
create or replace function mailer.rewrap_emails(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_items jsonb := args;
  v_count integer;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_items) i))
  order by e.id for update;
  with item as materialized (
    select i.* from jsonb_to_recordset(v_items)
      as i (id uuid, version integer, old text, new text, recipients jsonb, failure jsonb)
    join mailer.emails e on e.id = i.id
    where e.wrapped_key = i.old and e.version = i.version
  ),
  moved as (
    update mailer.emails e set wrapped_key = i.new,
      failure_group = case when e.failure_group = i.failure ->> 'old_group'
        then i.failure ->> 'new_group' else e.failure_group end,
      failure_domain = case when e.failure_domain = i.failure ->> 'old_domain'
        then i.failure ->> 'new_domain' else e.failure_domain end
    from item i where e.id = i.id
    returning e.id
  ),
  addressed as (
    update mailer.recipients r set address_index = n.address_index
    from item i, jsonb_to_recordset(i.recipients) as n (position smallint, address_index text)
    where r.email_id = i.id and r.position = n.position
      and r.address_index is distinct from n.address_index
  )
  select count(*) into v_count from moved;
  return v_count::text;
end
$$;

call mailer.offer('rewrap_emails', 'keys');
