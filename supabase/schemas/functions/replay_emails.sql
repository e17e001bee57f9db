-- replay_emails: a person sends many dead letters again, to those who have not got them.
--
-- args { ids, start | null, first, rate_per_minute | null, scheduled_at | null, bulk, origin, quota_pending | null }
-- answer { replayed, start }
--
-- To each the same happens as in replay_row, which releases those that are held, under its own
-- lock and in id order; written once more because row by row it takes several times as long
-- (a test compares the two). Left alone are ids that are no dead letter by now, or not the
-- caller's, or whose content was destroyed, or whose recipients have all got it. The n-th that is
-- replayed, counted from first, is due at start (now, by the database's clock, or scheduled_at)
-- + n * 60 s / rate_per_minute; one that is held not before its own time, unless scheduled_at
-- names another.
create or replace function mailer.replay_emails(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_is_asked boolean := v_args ->> 'scheduled_at' is not null;
  v_ids uuid[];
  v_start timestamptz := coalesce((v_args ->> 'start')::timestamptz,
    mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz),
    date_trunc('milliseconds', clock_timestamp()));
  v_gap interval := coalesce(
    interval '60 s' / (v_args ->> 'rate_per_minute')::double precision, interval '0');
  v_first bigint := (v_args ->> 'first')::bigint;
  v_rows jsonb;
begin
  v_ids := array(
    select e.id from mailer.emails e
    where e.id = any (array(select jsonb_array_elements_text(v_args -> 'ids')::uuid))
      and e.state in ('failed', 'uncertain', 'held', 'partially_sent')
      and e.wrapped_key is not null
      and mailer.may_see(e.owner_id)
      and exists (select from mailer.recipients r where r.email_id = e.id
        and (r.status in ('pending', 'deferred') or r.status = 'bounced' and e.state <> 'held'))
    order by e.id for update);

  perform mailer.assert_quota(mailer.claim_sub(), (select count(*) from mailer.emails e
    where e.id = any (v_ids) and e.state <> 'held'), (v_args ->> 'quota_pending')::bigint);

  update mailer.recipients r set status = 'pending'
  from mailer.emails e
  where e.id = any (v_ids) and e.state <> 'held' and r.email_id = e.id
    and r.status in ('deferred', 'bounced');
  with placed as materialized (
    select q.id, q.state, case when q.state = 'held' and not v_is_asked
      then greatest(q.paced_at, q.next_attempt_at) else q.paced_at end as due_at
    from (select e.id, e.state, e.next_attempt_at, mailer.ceil_ms(v_start
        + v_gap * (v_first + row_number() over (order by e.id) - 1)) as paced_at
      from mailer.emails e where e.id = any (v_ids)) q
  ),
  moved as (
    update mailer.emails e set state = 'pending', version = e.version + 1, scheduled_at = case when v_is_asked then p.due_at else e.scheduled_at end,
      next_attempt_at = p.due_at,
      age_from = p.due_at,
      expires_at = coalesce(mailer.expiry_of(p.due_at, e.max_lateness_seconds),
        case when e.expires_at > p.due_at then e.expires_at end),
      attempts_before = case when p.state = 'held' then e.attempts_before else e.attempts end,
      crashes = 0,
      message_date = coalesce(e.message_date, (
        select a.message_date from mailer.attempts a
        where a.email_id = e.id and a.outcome = 'uncertain'
        order by a.number desc limit 1)),
      sequence = e.sequence + 1
    from placed p where e.id = p.id
    returning e.id, e.owner_id, e.sequence, p.state as old_state, p.due_at
  )
  select coalesce(jsonb_agg(to_jsonb(m) order by m.id), '[]') into v_rows from moved m;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), v_args ->> 'origin',
    mailer.replay_action(r ->> 'old_state'), (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'pending', 'from', r -> 'old_state',
      'scheduled_at', r -> 'due_at', 'bulk', v_args -> 'bulk')
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('replayed', jsonb_array_length(v_rows), 'start', v_start)::text;
end
$$;

call mailer.offer('replay_emails', 'user', 'admin');
