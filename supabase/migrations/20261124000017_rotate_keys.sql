-- Another encryption key for what is stored, and content that is destroyed for good.
--
-- A ciphertext made by a key of the ring names that key: v1.<key id>.… . So the rows themselves
-- say what a rotation has still to do, and one that was killed goes on where it was.

-- Which key a process writes with; null: one that does not say, being of an earlier release.
alter table mailer.workers add column key_id text;

-- Gone with the address it was made from.
alter table mailer.recipients alter column address_index drop not null;

grant update (value) on mailer.settings to mailer_service;
-- Shredding takes the reply out of an attempt, and nothing else is ever changed there.
grant update (reply) on mailer.attempts to mailer_owner, mailer_service;

-- Id of the ring's key that made a ciphertext.
create function mailer.key_of(ciphertext text) returns text
language sql immutable
as $$ select split_part(ciphertext, '.', 2) $$;

-- A text or a list of texts, as a list.
create function mailer.texts_of(value jsonb) returns text[]
language sql immutable
as $$
  select case jsonb_typeof(value)
    when 'array' then array(select jsonb_array_elements_text(value))
    else array[value #>> '{}'] end
$$;

-- check_key: whether a process may work with its encryption key.
-- args { fingerprint, old: [fingerprints of the keys it can also read with], key_id,
--        worker_id | null }; answer { matches }.
-- The database keeps the fingerprint of the key that was used last. Another one matches, and is
-- kept from now on, when the process can also read with the one kept.
create or replace function mailer.check_key(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_fingerprint text := v_args ->> 'fingerprint';
  v_kept text;
begin
  insert into mailer.settings (name, value) values ('encryption_key', v_fingerprint)
  on conflict (name) do nothing;
  select s.value into v_kept from mailer.settings s where s.name = 'encryption_key';
  if v_kept <> v_fingerprint then
    select s.value into v_kept from mailer.settings s where s.name = 'encryption_key' for update;
  end if;
  if v_kept <> v_fingerprint and not coalesce(v_args -> 'old' ? v_kept, false) then
    return '{"matches": false}';
  end if;
  update mailer.workers w set key_id = v_args ->> 'key_id'
  where w.id = (v_args ->> 'worker_id')::uuid;
  if v_kept = v_fingerprint then
    return '{"matches": true}';
  end if;
  update mailer.settings s set value = v_fingerprint where s.name = 'encryption_key';
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, action, detail)
  values (mailer.claim_sub(), mailer.claim_sub(), 'encryption.key_replaced',
    jsonb_build_object('key_id', v_args -> 'key_id'));
  return '{"matches": true}';
end
$$;

-- key_processes: which keys the living processes write with.
-- args {}; answer [{ key_id | null, count }]
create function mailer.key_processes(args text) returns text
language sql stable
as $$
  select coalesce(json_agg(json_build_object('key_id', q.key_id, 'count', q.n)
    order by q.key_id), '[]')::text
  from (select w.key_id, count(*) as n from mailer.workers w
    where w.stopped_at is null and w.beat_at > now() - interval '15 seconds'
    group by w.key_id) q
$$;

-- stale_emails: emails whose data key another key than this one wraps, with all that a rotation
-- needs, in id order.
-- args { key_id, after | null, limit, scan_max };
-- answer { emails: [email_json and recipients, attempts, failure_group, failure_domain],
--   scanned, last | null } (last: go on after it; null: that was all).
-- Guarantees: looks at no more than scan_max rows, however many there are.
create function mailer.stale_emails(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_scan integer := (v_args ->> 'scan_max')::integer;
  v_scanned uuid[];
  v_stale uuid[];
  v_last uuid;
begin
  select coalesce(array_agg(q.id order by q.id), '{}'),
    coalesce(array_agg(q.id order by q.id) filter (where q.is_stale), '{}')
  into v_scanned, v_stale
  from (select e.id, mailer.key_of(e.wrapped_key) <> v_args ->> 'key_id' as is_stale
    from mailer.emails e
    where e.id > coalesce((v_args ->> 'after')::uuid, '00000000-0000-0000-0000-000000000000')
    order by e.id limit v_scan) q;
  if cardinality(v_stale) > v_limit then
    v_stale := v_stale[1:v_limit];
    v_last := v_stale[v_limit];
  elsif cardinality(v_scanned) = v_scan then
    v_last := v_scanned[v_scan];
  end if;
  return jsonb_build_object('last', v_last,
    'scanned', coalesce(array_position(v_scanned, v_last), cardinality(v_scanned)),
    'emails', (
      select coalesce(jsonb_agg(mailer.email_json(e) || jsonb_build_object(
        'recipients', mailer.recipients_json(e.id),
        'attempts', case when e.failure_group is null then '[]'::json
          else mailer.attempts_json(e.id) end,
        'failure_group', e.failure_group, 'failure_domain', e.failure_domain) order by e.id), '[]')
      from mailer.emails e where e.id = any (v_stale)))::text;
end
$$;

-- rewrap_emails: puts data keys under another key, and what was made with the former index key.
-- args [{ id, version, old, new, recipients: [{ position, address_index }],
--         failure: { old_group, new_group, old_domain, new_domain } | null }];
-- answer: how many were changed.
-- Guarantees: compare-and-set on the wrapped key and the version, so that nothing is lost that
-- was changed since it was read, nothing comes back that was shredded, and any number of
-- rotations may run at once. Content, version and sequence stay as they are.
create function mailer.rewrap_emails(args text) returns text
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

-- stale_answers: kept answers that another key than this one encrypted.
-- args { key_id, after: { owner_id, path, key } | null, limit, scan_max };
-- answer { answers: [{ owner_id, path, key, response }], scanned, last | null }, as stale_emails.
create function mailer.stale_answers(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_scan integer := (v_args ->> 'scan_max')::integer;
  v_after jsonb := coalesce(nullif(v_args -> 'after', 'null'),
    '{"owner_id": "", "path": "", "key": ""}');
  v_scanned jsonb[];
  v_stale jsonb[];
  v_last jsonb;
begin
  select coalesce(array_agg(q.row order by q.n), '{}'),
    coalesce(array_agg(q.row order by q.n) filter (where q.is_stale), '{}')
  into v_scanned, v_stale
  from (select row_number() over () as n, s.* from (
    select jsonb_build_object('owner_id', k.owner_id, 'path', k.path, 'key', k.key,
        'response', k.response) as row,
      mailer.key_of(k.response) <> v_args ->> 'key_id' as is_stale
    from mailer.idempotency_keys k
    where (k.owner_id, k.path, k.key)
      > (v_after ->> 'owner_id', v_after ->> 'path', v_after ->> 'key')
    order by k.owner_id, k.path, k.key limit v_scan) s) q;
  if cardinality(v_stale) > v_limit then
    v_stale := v_stale[1:v_limit];
    v_last := v_stale[v_limit];
  elsif cardinality(v_scanned) = v_scan then
    v_last := v_scanned[v_scan];
  end if;
  return jsonb_build_object('last', v_last - 'response', 'answers', to_jsonb(v_stale),
    'scanned', coalesce(array_position(v_scanned, v_last), cardinality(v_scanned)))::text;
end
$$;

-- rewrite_answers: args [{ owner_id, path, key, old, new }]; answer: how many were changed.
-- Guarantees: compare-and-set on the ciphertext, as rewrap_emails.
create function mailer.rewrite_answers(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_items jsonb := args;
  v_count integer;
begin
  perform 1 from mailer.idempotency_keys k
  join jsonb_to_recordset(v_items) as i (owner_id text, path text, key text)
    on k.owner_id = i.owner_id and k.path = i.path and k.key = i.key
  order by k.owner_id, k.path, k.key for update of k;
  update mailer.idempotency_keys k set response = i.new
  from jsonb_to_recordset(v_items) as i (owner_id text, path text, key text, old text, new text)
  where k.owner_id = i.owner_id and k.path = i.path and k.key = i.key and k.response = i.old;
  get diagnostics v_count = row_count;
  return v_count::text;
end
$$;

-- keys_in_use: how many rows each key of the ring still opens, a part of the table at a time.
-- args { part: "emails" | "answers", after | null, scan_max };
-- answer { counts: { <key id>: n }, last | null }; emails that were shredded count as "none".
create function mailer.keys_in_use(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_scan integer := (v_args ->> 'scan_max')::integer;
  v_after jsonb := coalesce(nullif(v_args -> 'after', 'null'),
    '{"owner_id": "", "path": "", "key": ""}');
  v_names text[];
  v_last jsonb;
begin
  if v_args ->> 'part' = 'emails' then
    select array_agg(q.name), to_jsonb((array_agg(q.id order by q.id desc))[1])
    into v_names, v_last
    from (select e.id, coalesce(mailer.key_of(e.wrapped_key), 'none') as name
      from mailer.emails e
      where e.id > coalesce((v_args ->> 'after')::uuid, '00000000-0000-0000-0000-000000000000')
      order by e.id limit v_scan) q;
  else
    select array_agg(q.name), (array_agg(q.place order by q.owner_id desc, q.path desc,
      q.key desc))[1]
    into v_names, v_last
    from (select k.owner_id, k.path, k.key, mailer.key_of(k.response) as name,
        jsonb_build_object('owner_id', k.owner_id, 'path', k.path, 'key', k.key) as place
      from mailer.idempotency_keys k
      where (k.owner_id, k.path, k.key)
        > (v_after ->> 'owner_id', v_after ->> 'path', v_after ->> 'key')
      order by k.owner_id, k.path, k.key limit v_scan) q;
  end if;
  return jsonb_build_object(
    'counts', (select coalesce(jsonb_object_agg(q.name, q.n), '{}')
      from (select u.name, count(*) as n from unnest(v_names) u (name) group by u.name) q),
    'last', case when cardinality(v_names) = v_scan then v_last end)::text;
end
$$;

-- shred_email: destroys the content of an email that has ended.
-- args { id, origin }; answer { kind: "shredded", status } (also when it already was)
--   | { kind: "not_found" } | { kind: "not_finished", status }.
-- Guarantees: the data key is gone, and with it whatever copy of a ciphertext there is beside a
-- backup of this row; so are the ciphertexts themselves, the blind index of every address and
-- what the failure was grouped by. State, codes, times, tags, metadata and the journal remain.
-- An email that may still be sent is left alone.
create function mailer.shred_email(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state in ('pending', 'sending', 'held') then
    return jsonb_build_object('kind', 'not_finished', 'status', v_email.state)::text;
  end if;
  if v_email.wrapped_key is null then
    return jsonb_build_object('kind', 'shredded', 'status', v_email.state)::text;
  end if;
  update mailer.contents c set message = null, details = null where c.email_id = v_email.id;
  update mailer.recipients r set address = null, address_index = null, reply = null
  where r.email_id = v_email.id;
  update mailer.attempts a set reply = null where a.email_id = v_email.id;
  update mailer.emails e set wrapped_key = null, sender = null, subject = null,
    failure_group = null, failure_domain = null, version = e.version + 1,
    sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (v_email.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'email.shredded',
    v_email.id, v_email.sequence + 1, jsonb_build_object('status', v_email.state));
  return jsonb_build_object('kind', 'shredded', 'status', v_email.state)::text;
end
$$;

revoke execute on function mailer.key_of(text), mailer.texts_of(jsonb),
  mailer.key_processes(text), mailer.stale_emails(text), mailer.rewrap_emails(text),
  mailer.stale_answers(text), mailer.rewrite_answers(text), mailer.keys_in_use(text),
  mailer.shred_email(text) from public;
grant execute on function mailer.key_of(text), mailer.texts_of(jsonb),
  mailer.key_processes(text), mailer.stale_emails(text), mailer.rewrap_emails(text),
  mailer.stale_answers(text), mailer.rewrite_answers(text), mailer.keys_in_use(text),
  mailer.shred_email(text) to mailer_service;
grant execute on function mailer.texts_of(jsonb), mailer.shred_email(text) to mailer_owner;

insert into mailer.functions (name, roles) values
  ('key_processes', array['keys']),
  ('stale_emails', array['keys']),
  ('rewrap_emails', array['keys']),
  ('stale_answers', array['keys']),
  ('rewrite_answers', array['keys']),
  ('keys_in_use', array['keys']),
  ('shred_email', array['user', 'admin']);
update mailer.functions f set roles = f.roles || array['keys'] where f.name = 'check_key';

-- As before, but address_index and failure_domain may be lists: while keys are being rotated a
-- text has an index under each of them.
--
-- filter_sql: the condition on mailer.emails e that a filter and the claims come to.
-- filter { statuses: [], is_deferred, tag, metadata: {}, address_index: text or [],
--   scheduled_after, scheduled_before, ids: [], group, smtp_code, failure_domain: text or [] };
--   absent or null: any. smtp_code is that of a recipient who has not got the email.
create or replace function mailer.filter_sql(filter jsonb) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_where text := 'true';
begin
  if mailer.claim_role() not in ('admin', 'service') then
    v_where := v_where || format(' and e.owner_id = %L', mailer.claim_sub());
  end if;
  if filter -> 'statuses' <> 'null' then
    v_where := v_where || format(' and e.state = any (%L::text[])',
      array(select jsonb_array_elements_text(filter -> 'statuses')));
  end if;
  if (filter ->> 'is_deferred')::boolean then
    v_where := v_where || ' and e.state = ''pending'' and e.attempts > e.attempts_before';
  end if;
  if filter ->> 'tag' is not null then
    v_where := v_where || format(' and %L = any (e.tags)', filter ->> 'tag');
  end if;
  if filter -> 'metadata' <> 'null' then
    v_where := v_where || (select coalesce(string_agg(
      format(' and e.metadata ->> %L = %L', key, value), ''), '')
      from jsonb_each_text(filter -> 'metadata'));
  end if;
  if filter ->> 'address_index' is not null then
    v_where := v_where || format(' and exists (select from mailer.recipients r
      where r.email_id = e.id and r.owner_id = e.owner_id and r.address_index = any (%L::text[]))',
      mailer.texts_of(filter -> 'address_index'));
  end if;
  if filter ->> 'scheduled_after' is not null then
    v_where := v_where || format(' and e.scheduled_at >= %L', filter ->> 'scheduled_after');
  end if;
  if filter ->> 'scheduled_before' is not null then
    v_where := v_where || format(' and e.scheduled_at < %L', filter ->> 'scheduled_before');
  end if;
  if filter -> 'ids' <> 'null' then
    v_where := v_where || format(' and e.id = any (%L::uuid[])',
      array(select jsonb_array_elements_text(filter -> 'ids')));
  end if;
  if filter ->> 'group' is not null then
    v_where := v_where || format(' and %s = %L', mailer.dead_group_sql(), filter ->> 'group');
  end if;
  if filter ->> 'smtp_code' is not null then
    v_where := v_where || format(' and exists (select from mailer.recipients r
      where r.email_id = e.id and r.status in (''bounced'', ''deferred'')
        and r.smtp_code = %L)', filter ->> 'smtp_code');
  end if;
  if filter ->> 'failure_domain' is not null then
    v_where := v_where || format(' and e.failure_domain = any (%L::text[])',
      mailer.texts_of(filter -> 'failure_domain'));
  end if;
  return v_where;
end
$$;

-- As before, but an email whose content was destroyed is not sent again: replay_row says so, and
-- replay_emails leaves it alone.
create or replace function mailer.replay_row(v_email mailer.emails, v_due timestamptz,
  v_is_asked boolean, v_is_edited boolean, v_horizon_ms bigint, v_queued_by uuid)
returns mailer.emails
language plpgsql set search_path = ''
as $$
declare
  v_was_held boolean := v_email.state = 'held';
  v_is_near boolean := v_due <= clock_timestamp() + v_horizon_ms * interval '1 ms';
  v_row mailer.emails;
begin
  if v_email.wrapped_key is null then
    raise exception using errcode = 'TM001', message = 'not_found',
      detail = 'The content of this email was destroyed.';
  end if;
  if not exists (select from mailer.recipients r where r.email_id = v_email.id
    and (r.status in ('pending', 'deferred') or r.status = 'bounced' and not v_was_held)) then
    return null;
  end if;
  if not v_was_held then
    update mailer.recipients r set status = 'pending'
    where r.email_id = v_email.id and r.status in ('deferred', 'bounced');
  end if;
  update mailer.emails e set state = 'pending', version = e.version + 1, wake = e.wake + 1,
    scheduled_at = case when v_is_asked then v_due else e.scheduled_at end,
    next_attempt_at = v_due,
    age_from = v_due,
    expires_at = coalesce(mailer.expiry_of(v_due, e.max_lateness_seconds),
      case when e.expires_at > v_due then e.expires_at end),
    attempts_before = case when v_was_held then e.attempts_before else e.attempts end,
    crashes = 0,
    message_date = case when not v_is_edited then coalesce(e.message_date, (
      select a.message_date from mailer.attempts a
      where a.email_id = e.id and a.outcome = 'uncertain'
      order by a.number desc limit 1)) end,
    queued_at = case when v_is_near then clock_timestamp() end,
    queued_by = case when v_is_near then v_queued_by end,
    sequence = e.sequence + 1
  where e.id = v_email.id
  returning * into v_row;
  return v_row;
end
$$;

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
    update mailer.emails e set state = 'pending', version = e.version + 1, wake = e.wake + 1,
      scheduled_at = case when v_is_asked then p.due_at else e.scheduled_at end,
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
      queued_at = null,
      queued_by = null,
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

