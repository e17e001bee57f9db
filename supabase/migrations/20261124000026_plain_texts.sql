-- Large texts taken apart and put together by bytes. What counts characters (strpos, left, substr)
-- reads a text several times over, and as a value of JSON a text is copied and escaped: of the
-- time to accept an email of 10 kB that was a fifth, of the time to claim it a sixth.

-- As in 20261124000019_quotas.sql, which says what it takes, answers and guarantees.
create or replace function mailer.schedule_emails(args text) returns text
language plpgsql
set search_path = '' set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_lines text[] := string_to_array(args, E'\n');
  v_json json := v_lines[1];
  v_stored uuid[];
  v_requests jsonb;
  v_answer text;
  -- What is refused, by the place of its request.
  v_over jsonb := mailer.over_quota(v_json, v_now);
begin
  with request as materialized (
    select r.*, r.idempotency ->> 'path' as path, r.idempotency ->> 'key' as key,
      row_number() over (
        partition by r.owner_id, r.idempotency ->> 'path', r.idempotency ->> 'key' order by r.n
      ) as turn
    from rows from (json_to_recordset(v_json) as (owner_id text, actor text, origin text,
      horizon_ms bigint, queued_by uuid, idempotency json, emails json)) with ordinality
      as r (owner_id, actor, origin, horizon_ms, queued_by, idempotency, emails, n)
  ),
  new_key as (
    insert into mailer.idempotency_keys (owner_id, path, key, created_at, fingerprint, response)
    select owner_id, path, key, v_now, idempotency ->> 'fingerprint', idempotency ->> 'response'
    from request
    where key is not null and turn = 1 and not v_over ? n::text
    order by owner_id, path, key
    on conflict do nothing
    returning owner_id, path, key
  ),
  accepted as materialized (
    select r.* from request r
    where not v_over ? r.n::text and (r.key is null or (r.turn = 1 and exists (
      select from new_key k
      where k.owner_id = r.owner_id and k.path = r.path and k.key = r.key)))
  ),
  email as materialized (
    select a.n, a.owner_id, a.horizon_ms, a.queued_by, e.*,
      coalesce(mailer.ceil_ms(e.asked_at), v_now) as due_at
    from accepted a, rows from (json_to_recordset(a.emails) as (id uuid, region text,
      scheduled_at timestamptz, expires_at timestamptz, max_lateness_seconds integer,
      on_late text, on_uncertain text,
      max_retries smallint, max_age_seconds integer, tags jsonb, metadata jsonb,
      wrapped_key text, sender text, subject text, message_bytes integer,
      message_line integer, details_line integer, recipients json)) with ordinality
      as e (id, region, asked_at, expires_at, max_lateness_seconds, on_late, on_uncertain,
        max_retries,
        max_age_seconds, tags, metadata, wrapped_key, sender, subject, message_bytes,
        message_line, details_line, recipients, place)
  ),
  stored as (
    insert into mailer.emails (id, owner_id, region, created_at, scheduled_at,
      next_attempt_at, age_from, expires_at, max_lateness_seconds, on_late, on_uncertain,
      max_retries, max_age_seconds, tags, metadata, wrapped_key, sender, subject, message_bytes, sequence,
      queued_at, queued_by)
    select id, owner_id, region, v_now, due_at, due_at, due_at,
      coalesce(mailer.expiry_of(due_at, max_lateness_seconds), expires_at),
      max_lateness_seconds, on_late, on_uncertain, max_retries, max_age_seconds,
      array(select jsonb_array_elements_text(tags)), metadata, wrapped_key, sender, subject,
      message_bytes, 1,
      case when due_at <= v_now + horizon_ms * interval '1 ms' then clock_timestamp() end,
      case when due_at <= v_now + horizon_ms * interval '1 ms' then queued_by end
    from email
    order by id
    on conflict (id) do nothing
    returning id
  ),
  stored_contents as (
    insert into mailer.contents (email_id, owner_id, message, details)
    select id, owner_id, decode(v_lines[message_line + 1], 'base64'), v_lines[details_line + 1]
    from email
    on conflict do nothing
  ),
  stored_recipients as (
    insert into mailer.recipients (email_id, position, owner_id, kind, address, address_index)
    select e.id, r.position, e.owner_id, r.kind, r.address, r.address_index
    from email e, json_to_recordset(e.recipients)
      as r (position smallint, kind text, address text, address_index text)
    on conflict do nothing
  )
  select
    coalesce((select array_agg(id) from stored), '{}'),
    coalesce((select jsonb_agg(jsonb_build_object('n', r.n, 'owner_id', r.owner_id,
      'actor', r.actor, 'origin', r.origin, 'path', r.path, 'key', r.key,
      'fingerprint', r.idempotency ->> 'fingerprint',
      'ids', (select jsonb_agg(e.id order by e.place) from email e where e.n = r.n))
      order by r.n) from request r), '[]')
  into v_stored, v_requests;

  select coalesce(json_agg(case
      when v_over ? (r ->> 'n') then (v_over -> (r ->> 'n'))::json
      when jsonb_typeof(r -> 'ids') = 'array' then json_build_object('kind', 'accepted',
        'emails', (
          select json_agg(json_build_object('id', e.id, 'scheduled_at', e.scheduled_at,
            'created_at', e.created_at, 'wake', e.wake,
            'delay_ms', case when e.queued_at is not null
              then mailer.ms_until(e.next_attempt_at, v_now) end) order by i.place)
          from jsonb_array_elements_text(r -> 'ids') with ordinality as i (id, place)
          join mailer.emails e on e.id = i.id::uuid))
      when k.fingerprint = r ->> 'fingerprint' then json_build_object('kind', 'replayed',
        'response', k.response, 'created_at', k.created_at)
      else json_build_object('kind', 'reused')
    end order by n), '[]')::text
  into v_answer
  from jsonb_array_elements(v_requests) with ordinality as q (r, n)
  left join mailer.idempotency_keys k
    on k.owner_id = r ->> 'owner_id' and k.path = r ->> 'path' and k.key = r ->> 'key';

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  select e.owner_id, r ->> 'actor', r ->> 'origin', 'email.scheduled', e.id, 1,
    jsonb_build_object('status', 'pending', 'scheduled_at', e.scheduled_at, 'region', e.region)
  from jsonb_array_elements(v_requests) as r
  cross join lateral jsonb_array_elements_text(r -> 'ids') as i (id)
  join mailer.emails e on e.id = i.id::uuid
  where e.id = any (v_stored) and jsonb_typeof(r -> 'ids') = 'array';

  return v_answer;
end
$$;

-- As in 20261124000013_reconcile_more.sql, which says what it takes, answers and guarantees, but:
--
-- args: { …, texts_behind | absent }
-- answer with texts_behind: message is null and has_message says whether there is one; behind the
--   JSON, each after a form feed, those messages in base64, in the order of the items.
create or replace function mailer.claim_emails(args text) returns text
language plpgsql
set search_path = '' set plan_cache_mode = force_generic_plan set jit = off
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  v_args jsonb := args;
  c_suspect_from constant smallint := 2;
  v_now timestamptz;
  v_worker uuid := (v_args ->> 'worker_id')::uuid;
  v_actor text := mailer.claim_sub();
  -- How large a message may be to come behind the answer, or within it.
  v_bytes_max integer := (v_args ->> 'inline_bytes_max')::integer;
  v_is_behind boolean := coalesce((v_args ->> 'texts_behind')::boolean, false);
  v_rows jsonb;
begin
  perform 1 from mailer.emails e
  where e.id = any (array(select (i ->> 'id')::uuid from jsonb_array_elements(v_args -> 'items') i))
  order by e.id for update;
  v_now := clock_timestamp();

  with item as (
    select i.id, i.wake, coalesce(i.isolated, false) as isolated,
      coalesce(i.again, false) as again, i.n,
      row_number() over (partition by i.id, i.wake order by i.n) as turn
    from rows from (jsonb_to_recordset(v_args -> 'items') as (id uuid, wake integer,
      isolated boolean, again boolean)) with ordinality as i (id, wake, isolated, again, n)
  ),
  judged as materialized (
    select i.n, i.id, i.isolated, e.next_attempt_at, case
        when i.again and i.turn = 1 and e.state = 'sending' and e.wake = i.wake
          and e.worker_id = v_worker and e.fenced_at is null then 'claimed'
        when e.id is null or e.state <> 'pending' or e.wake <> i.wake or i.turn > 1 then 'stale'
        when e.next_attempt_at > v_now then 'not_due'
        when e.expires_at < v_now and e.on_late = 'drop' then 'expired'
        when e.expires_at < v_now and e.on_late = 'hold' then 'held'
        when e.crashes >= c_suspect_from and not i.isolated then 'suspect'
        else 'claimed'
      end as kind
    from item i left join mailer.emails e on e.id = i.id
  ),
  moved as (
    update mailer.emails e set
      state = case j.kind when 'claimed' then 'sending' else j.kind end,
      claim_token = e.claim_token + 1,
      worker_id = case j.kind when 'claimed' then v_worker end,
      claimed_at = v_now,
      fenced_at = null,
      isolated = j.isolated and j.kind = 'claimed',
      queued_at = null,
      queued_by = null,
      sequence = e.sequence + 1
    from judged j
    where e.id = j.id and j.kind in ('claimed', 'expired', 'held')
    returning e.*
  )
  select coalesce(jsonb_agg(case j.kind
      when 'claimed' then jsonb_build_object('kind', j.kind, 'id', m.id,
        'sequence', m.sequence, 'token', m.claim_token, 'attempt', m.attempts + 1,
        'attempts_before', m.attempts_before, 'max_retries', m.max_retries,
        'max_age_seconds', m.max_age_seconds,
        'age_ms', mailer.ms_until(v_now, m.age_from),
        'on_uncertain', m.on_uncertain, 'owner_id', m.owner_id,
        'wrapped_key', m.wrapped_key, 'sender', m.sender, 'message_date', m.message_date,
        'message_bytes', m.message_bytes)
      when 'not_due' then jsonb_build_object('kind', j.kind,
        'due_in_ms', mailer.ms_until(j.next_attempt_at, v_now))
      when 'stale' then jsonb_build_object('kind', j.kind)
      when 'suspect' then jsonb_build_object('kind', j.kind)
      else jsonb_build_object('kind', j.kind, 'id', m.id, 'owner_id', m.owner_id,
        'sequence', m.sequence)
    end order by j.n), '[]')
  into v_rows
  from judged j left join moved m on m.id = j.id and j.kind in ('claimed', 'expired', 'held');

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, email_id, sequence, detail)
  select r ->> 'owner_id', v_actor,
    case r ->> 'kind' when 'claimed' then 'email.sending' else 'email.' || (r ->> 'kind') end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    case r ->> 'kind'
      when 'claimed' then jsonb_build_object('status', 'sending', 'attempt', r -> 'attempt',
        'transport', v_args -> 'transport', 'region', v_args -> 'region')
      else jsonb_build_object('status', r ->> 'kind', 'reason', 'too_late')
    end
  from jsonb_array_elements(v_rows) r
  where r ? 'sequence';

  return (
    select json_agg(case when r ->> 'kind' <> 'claimed' then r::json else json_build_object(
        'kind', 'claimed', 'token', r -> 'token', 'attempt', r -> 'attempt',
        'attempts_before', r -> 'attempts_before', 'max_retries', r -> 'max_retries',
        'max_age_seconds', r -> 'max_age_seconds', 'age_ms', r -> 'age_ms',
        'on_uncertain', r -> 'on_uncertain', 'owner_id', r -> 'owner_id',
        'wrapped_key', r -> 'wrapped_key', 'sender', r -> 'sender',
        'message_date', r -> 'message_date', 'message_bytes', r -> 'message_bytes',
        'message', case when not v_is_behind and octet_length(c.message) <= v_bytes_max
          then encode(c.message, 'base64') end,
        'has_message', v_is_behind and octet_length(c.message) <= v_bytes_max,
        'recipients', t.left_over, 'sent_before', t.sent, 'bounced_before', t.bounced)
      end order by n)::text
      || coalesce(E'\f' || string_agg(encode(c.message, 'base64'), E'\f' order by n)
        filter (where v_is_behind and octet_length(c.message) <= v_bytes_max), '')
    from jsonb_array_elements(v_rows) with ordinality as q (r, n)
    left join mailer.contents c on c.email_id = (r ->> 'id')::uuid and r ->> 'kind' = 'claimed'
    left join lateral (
      select count(*) filter (where t.status = 'sent') as sent,
        count(*) filter (where t.status in ('bounced', 'suppressed')) as bounced,
        json_agg(json_build_object('position', t.position, 'address', t.address)
          order by t.position) filter (where t.status in ('pending', 'deferred')) as left_over
      from mailer.recipients t where t.email_id = c.email_id
    ) t on true
  );
end
$$;

-- Ciphertext does not compress; trying to was a twelfth of the time to accept.
alter table mailer.contents alter column details set storage external;

-- What changes with every email is judged where the trigger's condition stands, at a fraction of
-- the cost of calling a function; every other edge is still judged by check_edge.
drop trigger emails_start on mailer.emails;
create trigger emails_start before insert on mailer.emails
  for each row when (new.state <> 'pending')
  execute function mailer.check_edge();
drop trigger emails_edge on mailer.emails;
create trigger emails_edge before update of state on mailer.emails
  for each row when (old.state is distinct from new.state
    and not (old.state = 'pending' and new.state = 'sending')
    and not (old.state = 'sending' and old.fenced_at is not null and new.state = 'sent'))
  execute function mailer.check_edge();

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000026"}';
