-- read_journal_start: where the journal begins, and what its chains follow on there.
--
-- args { owner_id | null, after | null (an owner_id), limit }
-- answer { position: of the newest entry that was dropped, 0: none was;
--   drop_to: of the checkpoint that vouches for that; checkpoint: JSON as text | null, for admins alone;
--   anchors: [{ owner_id, position, number, hash (hex) }], by owner }
--
-- Guarantees: one moment. A user gets its own chain's anchor, whatever is asked for.
create or replace function mailer.read_journal_start(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := v_args ->> 'owner_id';
  v_start mailer.journal_start;
  v_checkpoint text;
  v_anchors json;
begin
  select * into v_start from mailer.journal_start s where s.is_only_row;
  if mailer.claim_role() is distinct from 'admin' then
    v_owner := mailer.claim_sub();
  elsif v_start.position > 0 then
    select c.checkpoint into v_checkpoint from mailer.checkpoints c where c.position = v_start.drop_to;
  end if;
  select coalesce(json_agg(json_build_object('owner_id', q.owner_id, 'position', q.position,
    'number', q.number, 'hash', encode(q.hash, 'hex')) order by q.owner_id), '[]') into v_anchors
  from (
    select a.* from mailer.journal_anchors a
    where (v_owner is null or a.owner_id = v_owner)
      and (v_args ->> 'after' is null or a.owner_id > v_args ->> 'after')
    order by a.owner_id limit (v_args ->> 'limit')::integer
  ) q;
  return json_build_object('position', coalesce(v_start.position, 0), 'drop_to', v_start.drop_to,
    'checkpoint', v_checkpoint, 'anchors', v_anchors)::text;
end
$$;

call mailer.offer('read_journal_start', 'user', 'admin');
