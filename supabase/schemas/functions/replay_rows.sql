-- replay_rows: sends emails again to those who have not got them, or releases those that are held. For
-- the functions that do so; not to be called through call_as.
--
-- p_ids       rows that are locked, is_sendable, with content, and failed, uncertain, partially_sent or held
-- p_due       when each is due, in whole milliseconds
-- p_is_asked  that is what a person asked for and becomes scheduled_at; else that stays
-- p_is_edited the content was edited; else an attempt that was uncertain is repeated to the byte, its
--             Date included
-- p_args      { origin; bulk, fields: for the journal, unless null or empty }
-- answer      how many
--
-- Guarantees: attempts stay in the record; after a replay max_retries and max_age count anew; a person's
-- word lifts an expires_at that would have passed by then, and max_lateness counts from then; a worker's
-- crashes are forgiven.
create or replace function mailer.replay_rows(p_ids uuid[], p_due timestamptz[], p_is_asked boolean,
  p_is_edited boolean, p_args jsonb) returns integer
language plpgsql set search_path = ''
as $$
declare
  v_rows jsonb;
begin
  update mailer.recipients r set status = 'pending'
  from mailer.emails e
  where e.id = any (p_ids) and e.state <> 'held' and r.email_id = e.id
    and r.status in ('deferred', 'bounced');
  with placed as materialized (
    select e.id, e.state, d.due_at
    from unnest(p_ids, p_due) d (id, due_at) join mailer.emails e on e.id = d.id
  ),
  moved as (
    update mailer.emails e set state = 'pending', version = e.version + 1,
      scheduled_at = case when p_is_asked then p.due_at else e.scheduled_at end,
      next_attempt_at = p.due_at,
      age_from = p.due_at,
      expires_at = coalesce(mailer.expiry_of(p.due_at, e.max_lateness_seconds),
        case when e.expires_at > p.due_at then e.expires_at end),
      attempts_before = case when p.state = 'held' then e.attempts_before else e.attempts end,
      crashes = 0,
      message_date = case when not p_is_edited then coalesce(e.message_date, (
        select a.message_date from mailer.attempts a
        where a.email_id = e.id and a.outcome = 'uncertain'
        order by a.number desc limit 1)) end,
      sequence = e.sequence + 1
    from placed p where e.id = p.id
    returning e.id, e.owner_id, e.sequence, p.state as old_state, p.due_at
  )
  select coalesce(jsonb_agg(to_jsonb(m) order by m.id), '[]') into v_rows from moved m;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), p_args ->> 'origin',
    case r ->> 'old_state' when 'held' then 'email.released' else 'email.replayed' end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    jsonb_strip_nulls(jsonb_build_object('status', 'pending', 'from', r -> 'old_state',
      'scheduled_at', r -> 'due_at', 'bulk', p_args -> 'bulk',
      'fields', nullif(p_args -> 'fields', '[]')))
  from jsonb_array_elements(v_rows) r;
  return jsonb_array_length(v_rows);
end
$$;

grant execute on function mailer.replay_rows(uuid[], timestamptz[], boolean, boolean, jsonb)
  to mailer_owner;
