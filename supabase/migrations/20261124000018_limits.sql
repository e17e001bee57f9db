-- Fairness between owners: whoever puts emails into the queue knows whose they are.

-- queue_due: emails of a region that belong into its queue and are not in it; says so in their
-- rows, under the wake they have. Due first.
--
-- args { region, worker_id, horizon_ms, limit }
-- answer { emails: [{ id, wake, delay_ms, owner_id }], has_more }
--
-- Not in it: queued_at is null; or older than the queue's marker. (What the queue lost or keeps
-- waiting all the same is found by overdue_emails.) Nothing to do costs two probes.
create or replace function mailer.queue_due(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_until timestamptz := v_now + (v_args ->> 'horizon_ms')::bigint * interval '1 ms';
  v_limit integer := (v_args ->> 'limit')::integer;
  v_region mailer.regions;
  v_ids uuid[];
  v_void uuid[];
  v_emails jsonb;
begin
  select * into v_region from mailer.regions r where r.name = v_args ->> 'region';
  v_ids := array(
    select e.id from mailer.emails e
    where e.region = v_region.name and e.state = 'pending' and e.queued_at is null
      and e.next_attempt_at <= v_until
    order by e.next_attempt_at limit v_limit for update skip locked);
  if not v_region.is_swept then
    v_void := array(
      select e.id from mailer.emails e
      where e.region = v_region.name and e.state = 'pending'
        and e.queued_at < v_region.marker_at and e.next_attempt_at <= v_until
      order by e.next_attempt_at limit v_limit for update skip locked);
    if coalesce(array_length(v_void, 1), 0) = 0 then
      update mailer.regions r set is_swept = true
      where r.name = v_region.name and r.marker_at = v_region.marker_at;
    end if;
    v_ids := v_ids || v_void;
  end if;

  with moved as (
    update mailer.emails e set queued_at = v_now, queued_by = (v_args ->> 'worker_id')::uuid
    where e.id = any (v_ids) and e.state = 'pending'
    returning e.id, e.wake, e.next_attempt_at, e.owner_id
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'wake', m.wake,
    -- From when it answers: whatever this took must not come on top.
    'delay_ms', mailer.ms_until(m.next_attempt_at, clock_timestamp()), 'owner_id', m.owner_id)
    order by m.next_attempt_at), '[]')
  into v_emails from moved m;
  return jsonb_build_object('emails', v_emails,
    'has_more', jsonb_array_length(v_emails) >= v_limit)::text;
end
$$;

-- overdue_emails: emails of a region that are due for overdue_ms, queued for as long, and still
-- not claimed; a page of them in order of their time, for the caller to look their jobs up.
--
-- args { region, overdue_ms, limit, after: { next_attempt_at, id } | null }
-- answer { emails: [{ id, wake, owner_id }], last: { next_attempt_at, id } | null (a full page's),
--          until: up to here all were seen; emails queued a little after their time included }
create or replace function mailer.overdue_emails(args text) returns text
language plpgsql stable
as $$
declare
  v_args jsonb := args;
  v_until timestamptz := clock_timestamp()
    - (v_args ->> 'overdue_ms')::bigint * interval '1 ms';
  v_after timestamptz := coalesce((v_args #>> '{after,next_attempt_at}')::timestamptz,
    '-infinity');
  v_after_id uuid := coalesce((v_args #>> '{after,id}')::uuid,
    '00000000-0000-0000-0000-000000000000');
  v_rows jsonb;
begin
  select coalesce(jsonb_agg(to_jsonb(p) order by p.next_attempt_at, p.id), '[]') into v_rows
  from (
    select e.id, e.wake, e.owner_id, e.next_attempt_at from mailer.emails e
    where e.region = v_args ->> 'region' and e.state = 'pending'
      and e.next_attempt_at >= v_after and e.next_attempt_at <= v_until
      and (e.next_attempt_at > v_after or e.id > v_after_id) and e.queued_at < v_until
    order by e.next_attempt_at, e.id limit (v_args ->> 'limit')::integer) p;
  return jsonb_build_object(
    'emails', (select coalesce(jsonb_agg(jsonb_build_object('id', r -> 'id', 'wake', r -> 'wake',
      'owner_id', r -> 'owner_id') order by n), '[]') from jsonb_array_elements(v_rows) with ordinality as q (r, n)),
    'last', case when jsonb_array_length(v_rows) >= (v_args ->> 'limit')::integer
      then v_rows -> -1 end,
    'until', v_until - (v_args ->> 'overdue_ms')::bigint * interval '1 ms')::text;
end
$$;

-- adopt_emails: takes due emails of silent regions into the caller's, queued there by it.
--
-- args { region, worker_id, silent_ms, dead_after_ms, limit }
-- answer { emails: [{ id, wake, owner_id, from_region }] }
--
-- Guarantees: each is adopted by one caller; the wake rises, so that a job of the region it
-- came from does nothing when that returns; a region without a living worker adopts nothing.
create or replace function mailer.adopt_emails(args text) returns text
language plpgsql
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
  v_silent text[];
  v_rows jsonb;
begin
  if exists (select from mailer.workers w
    where w.region = v_region and w.role <> 'api' and w.stopped_at is null
      and w.beat_at >= v_now - (v_args ->> 'dead_after_ms')::bigint * interval '1 ms')
  then
    v_silent := array(select s from mailer.silent_regions((v_args ->> 'silent_ms')::bigint) s
      where s <> v_region);
  end if;
  if array_length(v_silent, 1) is null then
    return '{"emails":[]}';
  end if;
  with due as (
    select e.id, e.region as from_region from mailer.emails e
    where e.region = any (v_silent) and e.state = 'pending' and e.next_attempt_at <= v_now
    limit (v_args ->> 'limit')::integer for update skip locked
  ),
  moved as (
    update mailer.emails e set region = v_region, wake = e.wake + 1, queued_at = v_now,
      queued_by = (v_args ->> 'worker_id')::uuid, sequence = e.sequence + 1
    from due d where e.id = d.id
    returning e.id, e.owner_id, e.sequence, e.wake, d.from_region
  )
  select coalesce(jsonb_agg(to_jsonb(m)), '[]') into v_rows from moved m;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), 'email.released', (r ->> 'id')::uuid,
    (r ->> 'sequence')::integer, jsonb_build_object('status', 'pending',
      'reason', 'region_silent', 'from_region', r -> 'from_region', 'region', v_region)
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('emails', (
    select coalesce(jsonb_agg(jsonb_build_object('id', r -> 'id', 'wake', r -> 'wake',
      'owner_id', r -> 'owner_id', 'from_region', r -> 'from_region')), '[]')
    from jsonb_array_elements(v_rows) r))::text;
end
$$;
