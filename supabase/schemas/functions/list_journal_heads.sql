-- list_journal_heads: where each chain must have got to at least, by owner.
--
-- args { after | null (an owner_id), limit, owner_id | null };
-- answer { heads: [{ owner_id, number, hash (hex) }] }
--
-- Guarantees: a user gets its own chain's, whatever is asked for.
create or replace function mailer.list_journal_heads(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := mailer.whose(v_args ->> 'owner_id');
begin
  return (
    select json_build_object('heads', coalesce(json_agg(json_build_object(
      'owner_id', q.owner_id, 'number', q.number, 'hash', encode(q.hash, 'hex'))
      order by q.owner_id), '[]'))
    from (
      select h.* from mailer.journal_heads h
      where (v_owner is null or h.owner_id = v_owner)
        and (v_args ->> 'after' is null or h.owner_id > v_args ->> 'after')
      order by h.owner_id limit (v_args ->> 'limit')::integer
    ) q
  )::text;
end
$$;

call mailer.offer('list_journal_heads', 'user', 'admin');
