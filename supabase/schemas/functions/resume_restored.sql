-- resume_restored: a person's decision about a restored or copied database.
--
-- args { decision: send | hold; limit; reason | null, origin | null }
-- answer { was_paused, held: emails held by this call, has_more }
--
-- send: sending goes on, with what may have been sent already. hold: each email that was due between
-- the dump and now is held for a decision of its own, up to limit of each region in one call; then,
-- once has_more is false, sending goes on.
create or replace function mailer.resume_restored(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_restored jsonb := (select s.value::jsonb from mailer.settings s where s.name = 'restored');
  v_pause mailer.pauses;
  v_due uuid[];
  v_ids uuid[];
  v_held jsonb;
begin
  select * into v_pause from mailer.pauses p where p.kind = 'database';
  if v_pause.name is null then
    return '{"was_paused":false,"held":0,"has_more":false}';
  end if;
  if v_args ->> 'decision' = 'hold' then
    v_due := array(select d.id from mailer.restored_due((v_restored ->> 'knows_until')::timestamptz,
      clock_timestamp(), v_limit) d);
    v_ids := array(select e.id from mailer.emails e
      where e.id = any (v_due) and e.state = 'pending' order by e.id for update);
    with held as (
      update mailer.emails e set state = 'held', version = e.version + 1, sequence = e.sequence + 1
      where e.id = any (v_ids)
      returning e.id, e.owner_id, e.sequence
    )
    select coalesce(jsonb_agg(to_jsonb(h)), '[]') into v_held from held h;
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
    select h.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.held', h.id, h.sequence,
      '{"status": "held", "reason": "restored"}'
    from jsonb_to_recordset(v_held) as h (id uuid, owner_id text, sequence integer);
    if cardinality(v_due) > 0 then
      return jsonb_build_object('was_paused', true, 'held', jsonb_array_length(v_held), 'has_more', true)::text;
    end if;
  end if;
  delete from mailer.pauses p where p.kind = 'database';
  perform mailer.write_entry(mailer.claim_sub(), 'sending.resumed',
    jsonb_strip_nulls(jsonb_build_object('database', v_pause.name, 'paused_at', v_pause.paused_at,
      'paused_by', v_pause.paused_by, 'decision', v_args ->> 'decision',
      'knows_until', v_restored -> 'knows_until', 'reason', v_args ->> 'reason')),
    v_args ->> 'origin');
  return '{"was_paused":true,"held":0,"has_more":false}';
end
$$;

call mailer.offer('resume_restored', 'admin');
