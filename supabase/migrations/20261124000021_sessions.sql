-- Who is signed in to the console. A row that is gone lets nobody in any more, on any process.
--
-- Of a session only SHA-256 is stored: its cookie is 256 random bits, so there is nothing to
-- guess, and a copy of this table lets nobody in.

create table mailer.sessions (
  hash bytea primary key check (length(hash) = 32),
  owner_id text not null,
  is_admin boolean not null,
  started_at timestamptz not null,
  -- When a person last did something with it, to the minute; a page that refreshes itself is none.
  seen_at timestamptz not null,
  expires_at timestamptz not null
);
create index sessions_of_owner on mailer.sessions (owner_id, started_at);
create index sessions_age on mailer.sessions (expires_at);

alter table mailer.sessions enable row level security;
alter table mailer.sessions force row level security;
revoke all on mailer.sessions from public;
create policy service_rows on mailer.sessions to mailer_service using (true) with check (true);
grant select, insert, update (seen_at), delete on mailer.sessions to mailer_service;

-- start_session: args { hash (hex), replaces (hex) | null, owner_id, is_admin, via, lasts_seconds,
-- origin }; answer {}.
-- Guarantees: the session that the browser had before is over; an owner has at most 20, the
-- oldest out first; expired ones are removed.
create function mailer.start_session(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := v_args ->> 'owner_id';
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  delete from mailer.sessions s
  where s.expires_at <= v_now or s.hash = decode(v_args ->> 'replaces', 'hex')
    or s.hash in (select o.hash from mailer.sessions o where o.owner_id = v_owner
      order by o.started_at desc, o.hash offset 19);
  insert into mailer.sessions (hash, owner_id, is_admin, started_at, seen_at, expires_at)
  values (decode(v_args ->> 'hash', 'hex'), v_owner, (v_args ->> 'is_admin')::boolean, v_now,
    v_now, v_now + make_interval(secs => (v_args ->> 'lasts_seconds')::integer));
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values (v_owner, v_owner, v_args ->> 'origin', 'session.started', jsonb_build_object(
    'via', v_args ->> 'via', 'is_admin', (v_args ->> 'is_admin')::boolean));
  return '{}';
end
$$;

-- find_session: args { hash (hex), idle_seconds, is_active };
-- answer { kind: "found", owner_id, is_admin } | { kind: "unknown" }.
-- Guarantees: none is found past its time, nor when nobody did anything with it for idle_seconds.
-- Only is_active counts as doing something; it writes at most once a minute.
create function mailer.find_session(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_session mailer.sessions;
begin
  select * into v_session from mailer.sessions s
  where s.hash = decode(v_args ->> 'hash', 'hex') and s.expires_at > v_now
    and s.seen_at > v_now - make_interval(secs => (v_args ->> 'idle_seconds')::integer);
  if v_session.hash is null then
    return '{"kind":"unknown"}';
  end if;
  if (v_args ->> 'is_active')::boolean then
    update mailer.sessions s set seen_at = v_now
    where s.hash = v_session.hash and s.seen_at < v_now - interval '1 minute';
  end if;
  return jsonb_build_object('kind', 'found', 'owner_id', v_session.owner_id,
    'is_admin', v_session.is_admin)::text;
end
$$;

-- end_session: args { hash (hex), is_everywhere, origin }; answer { ended } (how many).
-- Guarantees: with is_everywhere all sessions of its owner end; one that is unknown ends nothing
-- and leaves no entry.
create function mailer.end_session(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text;
  v_ended integer;
begin
  select s.owner_id into v_owner from mailer.sessions s
  where s.hash = decode(v_args ->> 'hash', 'hex') and s.expires_at > clock_timestamp();
  delete from mailer.sessions s
  where s.owner_id = v_owner
    and (s.hash = decode(v_args ->> 'hash', 'hex') or (v_args ->> 'is_everywhere')::boolean);
  get diagnostics v_ended = row_count;
  if v_ended > 0 then
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, origin, action, detail)
    values (v_owner, v_owner, v_args ->> 'origin', 'session.ended',
      jsonb_build_object('sessions', v_ended));
  end if;
  return jsonb_build_object('ended', v_ended)::text;
end
$$;

-- note_refused_sign_in: args { reason, origin }; answer {}. It belongs to nobody, so only admins
-- see it; whoever calls it bounds how often.
create function mailer.note_refused_sign_in(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values ('console', 'stranger', v_args ->> 'origin', 'session.refused',
    jsonb_build_object('reason', v_args ->> 'reason'));
  return '{}';
end
$$;

revoke execute on function mailer.start_session(text), mailer.find_session(text),
  mailer.end_session(text), mailer.note_refused_sign_in(text) from public;
grant execute on function mailer.start_session(text), mailer.find_session(text),
  mailer.end_session(text), mailer.note_refused_sign_in(text) to mailer_service;

insert into mailer.functions (name, roles) values
  ('start_session', array['console']),
  ('find_session', array['console']),
  ('end_session', array['console']),
  ('note_refused_sign_in', array['console']);
