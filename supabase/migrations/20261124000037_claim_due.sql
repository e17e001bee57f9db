-- One way to the next hop: the dispatcher of a worker process claims what is due in batches,
-- straight from the table.

-- Whose emails are due, owner by owner. Suspects of a crash are claimed apart, by the index below.
create index emails_due_of_owner on mailer.emails (region, owner_id, next_attempt_at)
  where state = 'pending' and crashes < 2;
-- Empty unless workers died.
create index emails_suspect on mailer.emails (region, crashes desc, next_attempt_at)
  where state = 'pending' and crashes >= 2;

-- due_owners: the owners in whose turn emails of a region are claimed, each once.
--
-- args   p_region; p_until: due by then; p_limit: size of the batch; p_after: owner after which the
--        walk goes on, '' from the start
-- answer owners, those whose emails are due longest first; is_all: nobody else has anything due;
--        next_after: for the next call's p_after
--
-- Guarantees: reads at most 3 * p_limit rows of emails_due and 200 places of
-- emails_due_of_owner, whatever the backlog. An owner hidden behind floods is found by the walk
-- within (owners / 200) calls; measured: 30 us a place, so the walk is the guarantee, not the means.
create function mailer.due_owners(p_region text, p_until timestamptz, p_limit integer,
  p_after text, out owners text[], out is_all boolean, out next_after text)
language plpgsql stable
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_sort = on
as $$
declare
  c_visits_max constant integer := 200;
  v_scan constant integer := 2 * p_limit;
  v_seen integer;
  v_newest text[];
  v_walked text[];
  v_visited integer;
  v_due integer;
begin
  next_after := '';
  select array_agg(s.owner_id order by s.first_at), coalesce(sum(s.count), 0)
  into owners, v_seen
  from (
    select d.owner_id, min(d.next_attempt_at) as first_at, count(*) as count
    from (select e.owner_id, e.next_attempt_at from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.next_attempt_at <= p_until
      order by e.next_attempt_at limit v_scan) d
    group by d.owner_id) s;
  is_all := v_seen < v_scan;
  if is_all then
    owners := coalesce(owners, '{}');
    return;
  end if;

  -- A flood is older than what becomes due behind it: the newest show who came since.
  v_newest := array(
    select distinct d.owner_id
    from (select e.owner_id from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.next_attempt_at <= p_until
      order by e.next_attempt_at desc limit p_limit) d
    where d.owner_id <> all (owners));
  with recursive walk (owner_id, is_due, visited, due) as (
    (select e.owner_id, e.next_attempt_at <= p_until, 1, (e.next_attempt_at <= p_until)::integer
      from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.crashes < 2
        and e.owner_id > p_after
      order by e.owner_id, e.next_attempt_at limit 1)
    union all
    select n.owner_id, n.is_due, w.visited + 1, w.due + n.is_due::integer
    from walk w cross join lateral (
      select e.owner_id, e.next_attempt_at <= p_until as is_due
      from mailer.emails e
      where e.region = p_region and e.state = 'pending' and e.crashes < 2
        and e.owner_id > w.owner_id
      order by e.owner_id, e.next_attempt_at limit 1) n
    where w.visited < c_visits_max and w.due < p_limit
  )
  select array_agg(w.owner_id) filter (where w.is_due and w.owner_id <> all (owners || v_newest)),
    count(*), coalesce(max(w.due), 0), coalesce(max(w.owner_id), '')
  into v_walked, v_visited, v_due, next_after
  from walk w;
  if v_visited < c_visits_max and v_due < p_limit then
    next_after := '';
  end if;
  owners := owners || v_newest || coalesce(v_walked, '{}');
end
$$;

-- pick_due: locks the emails of a batch and answers their ids, so that each owner gets an equal
-- part and what one leaves goes to the others.
--
-- args   p_owners: in their order; p_holds: { <owner>: emails the caller holds already };
--        p_per_owner: what an owner may hold in all; the rest as in due_owners
--
-- Guarantees: a row is locked within the pick, so two processes never pick the same one; a row
-- locked by somebody else is passed over, never waited for.
create function mailer.pick_due(p_region text, p_until timestamptz, p_owners text[],
  p_limit integer, p_per_owner integer, p_holds jsonb) returns uuid[]
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  -- What is not given out in the first round goes to those who have more: two rounds fill a batch
  -- but for what others lock meanwhile.
  c_rounds constant integer := 3;
  v_owners text[] := p_owners;
  v_rooms integer[];
  v_picked uuid[] := '{}';
  v_each integer;
begin
  select array_agg(o.owner_id order by held, o.n), array_agg(p_per_owner - held order by held, o.n)
  into v_owners, v_rooms
  from unnest(p_owners) with ordinality as o (owner_id, n)
  cross join lateral (select coalesce((p_holds ->> o.owner_id)::integer, 0) as held) h
  where held < p_per_owner;

  for v_round in 1 .. c_rounds loop
    exit when coalesce(cardinality(v_owners), 0) = 0 or cardinality(v_picked) >= p_limit;
    v_each := ceil((p_limit - cardinality(v_picked))::numeric / cardinality(v_owners));
    with found as materialized (
      select o.n, d.id
      from unnest(v_owners, v_rooms) with ordinality as o (owner_id, room, n)
      cross join lateral (
        select e.id from mailer.emails e
        where e.region = p_region and e.state = 'pending' and e.crashes < 2
          and e.owner_id = o.owner_id and e.next_attempt_at <= p_until
          -- Our own locks are not passed over.
          and e.id <> all (v_picked)
        order by e.next_attempt_at limit least(v_each, o.room)
        for update skip locked) d
      limit p_limit - cardinality(v_picked)
    ),
    counted as (
      select o.n, o.owner_id, o.room - count(f.id) as room, count(f.id) as count
      from unnest(v_owners, v_rooms) with ordinality as o (owner_id, room, n)
      left join found f on f.n = o.n
      group by o.n, o.owner_id, o.room
    )
    select v_picked || array(select f.id from found f),
      array_agg(c.owner_id order by c.n) filter (where c.count >= v_each and c.room > 0),
      array_agg(c.room order by c.n) filter (where c.count >= v_each and c.room > 0)
    into v_picked, v_owners, v_rooms
    from counted c;
  end loop;
  return v_picked;
end
$$;

-- claim_due: claims up to `limit` emails of a region that are due within `ahead_ms`, in equal
-- parts for their owners.
--
-- args { region: whose emails; worker_id; limit; ahead_ms: how long before its time an email may be
--   claimed; per_owner: emails an owner may hold in the caller, of which it holds
--   holds: { <owner>: count } already; after: of the answer before, '' at first; bytes_max: of
--   the messages behind the answer; inline_bytes_max: larger messages are read by themselves;
--   suspects: whether a group of suspects may be claimed beside them }
-- answer { is_paused: whether the region is; paused_owners: whose emails are not to be sent
--     anywhere; emails: [{ id, token, attempt, attempts_before, max_retries, max_age_seconds, age_ms,
--     due_in_ms, expires_in_ms | null, on_uncertain, owner_id, wrapped_key, sender, message_date,
--     message_bytes, has_message, recipients, sent_before, bounced_before, is_suspect }],
--   has_more: something is due that was not claimed; after; next_due_in_ms: of the first email
--   beyond ahead_ms, null when there is none }, and behind it the messages of those that say
--   has_message, in their order, as base64.
--
-- Guarantees: never waits for a row that somebody else holds; each email is given to one caller;
-- what has become too late to be sent ends as `expired` or `held` here, with its journal entry; an
-- owner is found whatever floods stand before it (due_owners). Suspects of a crash come in groups
-- of 64, then 8, then 1 as their count of crashes rises, those with the most crashes first.
-- claimed_at, and with it the beginning of the attempt, is never before the email is due.
create function mailer.claim_due(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_region text := v_args ->> 'region';
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_until timestamptz := v_now + (v_args ->> 'ahead_ms')::bigint * interval '1 ms';
  v_inline_max integer := (v_args ->> 'inline_bytes_max')::integer;
  v_bytes_max integer := (v_args ->> 'bytes_max')::integer;
  v_found record;
  v_picked uuid[];
  v_suspects uuid[] := '{}';
  v_crashes smallint;
  v_count integer;
  v_is_cut boolean := false;
  v_ids uuid[];
  v_owners text[];
  v_kinds text[];
  v_sequences integer[];
  v_emails text;
  v_texts text;
  v_next timestamptz;
  v_is_paused boolean := exists (select from mailer.pauses p
    where p.kind = 'region' and p.name = v_region);
  v_paused text[] := array(select p.name from mailer.pauses p where p.kind = 'owner');
  v_head text := '{"is_paused":' || v_is_paused::text || ',"paused_owners":'
    || to_json(v_paused)::text;
begin
  if v_is_paused then
    return v_head || ',"emails":[],"has_more":true,"after":"","next_due_in_ms":null}';
  end if;
  select * into v_found
  from mailer.due_owners(v_region, v_until, v_limit, coalesce(v_args ->> 'after', ''));
  v_picked := case when cardinality(v_found.owners) = 0 then '{}'
    else mailer.pick_due(v_region, v_until,
      array(select o from unnest(v_found.owners) with ordinality as u (o, n)
        where o <> all (v_paused) order by n), v_limit,
      (v_args ->> 'per_owner')::integer, coalesce(v_args -> 'holds', '{}')) end;

  if (v_args ->> 'suspects')::boolean then
    -- A row that somebody else tries is passed over, and its group with it.
    select e.crashes into v_crashes from mailer.emails e
    where e.region = v_region and e.state = 'pending' and e.crashes >= 2
      and e.next_attempt_at <= v_now and e.owner_id <> all (v_paused)
    order by e.crashes desc, e.next_attempt_at limit 1 for update skip locked;
    if found then
      v_suspects := array(
        select e.id from mailer.emails e
        where e.region = v_region and e.state = 'pending' and e.crashes >= 2
          and e.crashes = v_crashes and e.next_attempt_at <= v_now
          and e.owner_id <> all (v_paused)
        order by e.next_attempt_at
        limit case v_crashes when 2 then 64 when 3 then 8 else 1 end
        for update skip locked);
    end if;
  end if;

  -- What does not fit behind the answer is not claimed; one email always fits.
  select array_agg(p.id order by p.n), count(*) into v_ids, v_count
  from (
    select q.id, q.n, sum(case when e.message_bytes <= v_inline_max then e.message_bytes
        else 0 end + 500) over (order by q.n) as bytes
    from unnest(v_suspects || v_picked) with ordinality as q (id, n)
    join mailer.emails e on e.id = q.id) p
  where p.bytes <= v_bytes_max or p.n = 1;
  v_is_cut := v_count < cardinality(v_suspects) + cardinality(v_picked);

  if v_count > 0 then
    with asked as (
      select a.id, a.n from unnest(v_ids) with ordinality as a (id, n)
    ),
    moved as (
      update mailer.emails e set
        state = case
          when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
          when e.expires_at < v_now and e.on_late = 'hold' then 'held'
          else 'sending' end,
        claim_token = e.claim_token + 1,
        worker_id = case when e.expires_at < v_now and e.on_late <> 'send' then null
          else v_worker end,
        claimed_at = greatest(v_now, e.next_attempt_at),
        fenced_at = null,
        isolated = e.crashes >= 2,
        sequence = e.sequence
          + case when e.expires_at < v_now and e.on_late <> 'send' then 1 else 0 end
      where e.id = any (v_ids)
      returning e.id, e.owner_id, e.sequence, e.claim_token, e.attempts, e.attempts_before,
        e.max_retries, e.max_age_seconds, e.age_from, e.on_uncertain, e.wrapped_key, e.sender,
        e.message_date, e.message_bytes, e.next_attempt_at, e.state, e.crashes,
        case when e.on_late <> 'send' then e.expires_at end as expires_at
    ),
    answered as (
      select m.id, m.owner_id, m.state, m.sequence, a.n,
        case when m.state = 'sending' and octet_length(c.message) <= v_inline_max
          then encode(c.message, 'base64') end as text,
        case when m.state = 'sending' then json_build_object('id', m.id, 'token', m.claim_token,
          'attempt', m.attempts + 1, 'attempts_before', m.attempts_before,
          'max_retries', m.max_retries, 'max_age_seconds', m.max_age_seconds,
          'age_ms', ceil(extract(epoch from v_now - m.age_from) * 1000)::bigint,
          'due_in_ms', mailer.ms_until(m.next_attempt_at, v_now),
          'expires_in_ms', case when m.expires_at is not null
            then mailer.ms_until(m.expires_at, v_now) end,
          'on_uncertain', m.on_uncertain, 'owner_id', m.owner_id,
          'wrapped_key', m.wrapped_key, 'sender', m.sender, 'message_date', m.message_date,
          'message_bytes', m.message_bytes,
          'has_message', octet_length(c.message) <= v_inline_max,
          'recipients', t.left_over, 'sent_before', t.sent, 'bounced_before', t.bounced,
          'is_suspect', m.crashes >= 2) end as answer
      from asked a
      join moved m on m.id = a.id
      left join lateral (select c.message from mailer.contents c
        where c.email_id = m.id and m.state = 'sending' limit 1) c on true
      left join lateral (
        select count(*) filter (where t.status = 'sent') as sent,
          count(*) filter (where t.status in ('bounced', 'suppressed')) as bounced,
          json_agg(json_build_object('position', t.position, 'address', t.address)
            order by t.position) filter (where t.status in ('pending', 'deferred')) as left_over
        from mailer.recipients t where t.email_id = m.id and m.state = 'sending'
      ) t on true
    )
    select json_agg(answer order by n) filter (where answer is not null)::text,
      string_agg(text, E'\f' order by n) filter (where answer is not null),
      array_agg(id), array_agg(owner_id), array_agg(state), array_agg(sequence)
    into v_emails, v_texts, v_ids, v_owners, v_kinds, v_sequences
    from answered;

    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
    select e.owner_id, mailer.claim_sub(), 'email.' || e.kind, e.id, e.sequence,
      jsonb_build_object('status', e.kind, 'reason', 'too_late')
    from unnest(v_ids, v_owners, v_kinds, v_sequences) as e (id, owner_id, kind, sequence)
    where e.kind <> 'sending';
  end if;

  v_next := (select e.next_attempt_at from mailer.emails e
    where e.region = v_region and e.state = 'pending' and e.next_attempt_at > v_until
    order by e.next_attempt_at limit 1);
  return v_head || ',"emails":' || coalesce(v_emails, '[]')
    || ',"has_more":' || (v_is_cut or not v_found.is_all
      or exists (select from mailer.emails e
        where e.region = v_region and e.state = 'pending' and e.crashes < 2
          and e.next_attempt_at <= v_until limit 1))::text
    || ',"after":' || to_json(v_found.next_after)::text
    || ',"next_due_in_ms":' || case when v_next is null then 'null'
      else mailer.ms_until(v_next, v_now)::text end || '}'
    || coalesce(E'\f' || v_texts, '');
end
$$;

revoke execute on function mailer.due_owners(text, timestamptz, integer, text),
  mailer.pick_due(text, timestamptz, text[], integer, integer, jsonb), mailer.claim_due(text)
  from public;
grant execute on function mailer.due_owners(text, timestamptz, integer, text),
  mailer.pick_due(text, timestamptz, text[], integer, integer, jsonb), mailer.claim_due(text)
  to mailer_service;
insert into mailer.functions (name, roles) values ('claim_due', array['worker']);

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000037"}';
