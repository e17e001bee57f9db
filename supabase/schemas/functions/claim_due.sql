-- claim_due: claims up to `limit` emails of a region that are due within `ahead_ms`, in equal
-- parts for their owners.
--
-- args { region: whose emails; worker_id; limit; ahead_ms: how long before its time an email may be
--   claimed; per_owner: emails an owner may hold in the caller, of which it holds
--   holds: { <owner>: count } already; after: of the answer before, '' at first; bytes_max: of
--   the messages behind the answer; inline_bytes_max: larger messages are read by themselves;
--   suspects: whether a group of suspects may be claimed beside them; one_blamed: whether one that
--   is blamed for a single death may;
--   timeline: under which all that the caller sent is written; absent: it cannot be told }
-- answer { is_paused: whether the region is, or all sending; paused_owners: whose emails are not to be sent
--     anywhere; emails: [{ id, token, attempt, attempts_before, max_retries, max_age_seconds, age_ms,
--     due_in_ms, expires_in_ms | null, on_uncertain, owner_id, wrapped_key, sender, message_date,
--     message_bytes, has_message, recipients, sent_before, bounced_before, is_suspect,
--     is_one_blamed }],
--   has_more: something is due that was not claimed; after; next_due_in_ms: of the first email
--   beyond ahead_ms, null when there is none; took_ms: of this call until the answer was made, rounded
--   down: the times above count from its beginning }, and behind it the messages of those that say
--   has_message, in their order, as base64.
--
-- Guarantees: never waits for a row that somebody else holds; each email is given to one caller;
-- what has become too late to be sent ends as `expired` or `held` here, with its journal entry; an
-- owner is found whatever floods stand before it (due_owners). Suspects of a crash come in groups
-- of 64, then 8, then 1 as their count of crashes rises, those with the most crashes first. Before
-- them, one at a time and those of owners with few first, come emails that one death is blamed on,
-- when they are no more than 8: in a group the innocent would share the deaths of the guilty, 5 s each.
-- After a failover nothing is claimed before every worker has vouched (tables/timelines.sql); what a
-- dead one may have sent is held under on_uncertain hold, else sent with the entry
-- attempt.unvouched: it may be doubled.
-- claimed_at, and with it the beginning of the attempt, is never before the email is due.
create or replace function mailer.claim_due(args text) returns text
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
  -- Blamed for one death, and so few that they are tried one by one.
  c_few constant integer := 8;
  v_few uuid[];
  v_one uuid[];
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
  v_timeline text := case when v_args ->> 'timeline' is not null then mailer.timeline() end;
  -- Emails due by then may have been sent before a failover, and nobody knows.
  v_doubt timestamptz := (select r.doubt_until from mailer.regions r where r.name = v_region);
  v_doubted uuid[];
  v_is_paused boolean := exists (select from mailer.pauses p
    where (p.kind = 'region' and p.name = v_region) or p.kind = 'database');
  v_paused text[] := array(select p.name from mailer.pauses p where p.kind = 'owner');
  v_head text := '{"is_paused":' || v_is_paused::text || ',"paused_owners":'
    || to_json(v_paused)::text;
begin
  if v_is_paused or mailer.is_unvouched(v_timeline, v_args ->> 'timeline', v_now) then
    return v_head || ',"emails":[],"has_more":true,"after":"","next_due_in_ms":null,"took_ms":0}';
  end if;
  select * into v_found
  from mailer.due_owners(v_region, v_until, v_limit, coalesce(v_args ->> 'after', ''));
  -- Too many to be told apart one by one are sent like any others, until a second death.
  v_few := array(
    select f.id
    from (
      select e.id, e.next_attempt_at,
        count(*) over (partition by e.owner_id) as of_owner
      from (select e.id, e.owner_id, e.next_attempt_at from mailer.emails e
        where e.region = v_region and e.state = 'pending' and e.crashes = 1
          and e.next_attempt_at <= v_now and e.owner_id <> all (v_paused)
        order by e.next_attempt_at limit c_few + 1) e) f
    order by f.of_owner, f.next_attempt_at);
  if cardinality(v_few) > c_few then
    v_few := '{}';
  end if;
  v_picked := case when cardinality(v_found.owners) = 0 then '{}'
    else mailer.pick_due(v_region, v_until,
      array(select o from unnest(v_found.owners) with ordinality as u (o, n)
        where o <> all (v_paused) order by n), v_limit,
      (v_args ->> 'per_owner')::integer, coalesce(v_args -> 'holds', '{}'), v_few) end;

  if (v_args ->> 'one_blamed')::boolean then
    v_suspects := array(
      select e.id from unnest(v_few) with ordinality as f (id, n)
      join mailer.emails e on e.id = f.id
      where e.state = 'pending'
      order by f.n limit 1 for update of e skip locked);
  end if;
  v_one := v_suspects;
  if (v_args ->> 'suspects')::boolean and cardinality(v_suspects) = 0 then
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
          when e.next_attempt_at <= v_doubt and e.on_uncertain = 'hold' then 'held'
          else 'sending' end,
        claim_token = e.claim_token + 1,
        worker_id = case when (e.expires_at < v_now and e.on_late <> 'send')
            or (e.next_attempt_at <= v_doubt and e.on_uncertain = 'hold') then null
          else v_worker end,
        claimed_at = greatest(v_now, e.next_attempt_at),
        fenced_at = null,
        sequence = e.sequence
          + case when (e.expires_at < v_now and e.on_late <> 'send')
            or (e.next_attempt_at <= v_doubt and e.on_uncertain = 'hold') then 1 else 0 end
      where e.id = any (v_ids)
      returning e.id, e.owner_id, e.sequence, e.claim_token, e.attempts, e.attempts_before,
        e.max_retries, e.max_age_seconds, e.age_from, e.on_uncertain, e.wrapped_key, e.sender,
        e.message_date, e.message_bytes, e.next_attempt_at, e.state, e.crashes,
        case when e.on_late <> 'send' then e.expires_at end as expires_at,
        -- An email that has become too late ends for that.
        e.next_attempt_at <= v_doubt and (e.state = 'sending'
          or (e.state = 'held' and (e.on_late <> 'hold' or e.expires_at is null
            or e.expires_at >= v_now))) as is_doubted
    ),
    answered as (
      select m.id, m.owner_id, m.state, m.sequence, a.n, m.is_doubted,
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
          'is_suspect', m.id = any (v_suspects), 'is_one_blamed', m.id = any (v_one)) end as answer
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
      array_agg(id), array_agg(owner_id), array_agg(state), array_agg(sequence),
      coalesce(array_agg(id) filter (where is_doubted), '{}')
    into v_emails, v_texts, v_ids, v_owners, v_kinds, v_sequences, v_doubted
    from answered;

    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
    select e.owner_id, mailer.claim_sub(),
      case e.kind when 'sending' then 'attempt.unvouched' else 'email.' || e.kind end, e.id,
      case when e.kind <> 'sending' then e.sequence end,
      jsonb_build_object('status', case e.kind when 'sending' then 'pending' else e.kind end,
        'reason', case when e.id = any (v_doubted) then 'failover' else 'too_late' end)
    from unnest(v_ids, v_owners, v_kinds, v_sequences) as e (id, owner_id, kind, sequence)
    where e.kind <> 'sending' or e.id = any (v_doubted);
  end if;

  v_next := (select e.next_attempt_at from mailer.emails e
    where e.region = v_region and e.state = 'pending' and e.next_attempt_at > v_until
    order by e.next_attempt_at limit 1);
  return v_head || ',"emails":' || coalesce(v_emails, '[]')
    || ',"has_more":' || (v_is_cut or not v_found.is_all
      -- Ordered, so that it is the index by time that is asked: that of owners would be read whole.
      or (select true from mailer.emails e
        where e.region = v_region and e.state = 'pending' and e.crashes < 2
          and e.next_attempt_at <= v_until
        order by e.next_attempt_at limit 1) is not null)::text
    || ',"after":' || to_json(v_found.next_after)::text
    || ',"next_due_in_ms":' || case when v_next is null then 'null'
      else mailer.ms_until(v_next, v_now)::text end
    || ',"took_ms":' || floor(extract(epoch from clock_timestamp() - v_now) * 1000)::bigint || '}'
    || coalesce(E'\f' || v_texts, '');
end
$$;

call mailer.offer('claim_due', 'worker');
