-- call_as: the one way in. Calls mailer.<fn> on behalf of the claims
-- {"role": "user|admin|<a part of the program>", "sub": "…", "lock_timeout_ms": …}, in one
-- transaction. Text in, text out, so that it is the same over PGlite, pg and PostgREST.
--
-- A refusal is raised with SQLSTATE TM001, the error code as message and words in detail. Refused
-- is what mailer.functions does not name for the role, claims without a sub, and whatever the
-- database roles `anon` and `authenticated` ask: Supabase's guide to exposing a schema has
-- everything in it granted to them, and who follows it must not open this door. The role that
-- PostgREST takes on is still to be seen here, in a function that runs as its owner.
--
-- Functions called for every email or batch are named in the body: a statement that is made for the
-- call is parsed and planned each time.
--
-- Guarantees, whatever the server, the database or the role is set to:
-- - another transaction's lock is waited for no longer than lock_timeout_ms (default 3000); a call
--   that carries many emails says less, since all of them wait;
-- - what it writes is on the disk before it answers, also where synchronous_commit is off. Any
--   other setting of it (local, remote_write, remote_apply) is the operator's choice and stays;
-- - instants and intervals become text in one way, whatever DateStyle, IntervalStyle and TimeZone
--   are: cursors are such text, and are read again by the next call;
-- - no type that the session made for itself is taken for PostgreSQL's of that name. PostgreSQL looks for
--   types in a session's own schema before its own unless a search_path says otherwise, and a domain
--   called json, with a check of the caller's, would run that check as this function's owner. So this
--   path says otherwise, and a session that has such a type is refused before any other function runs.
-- All of it holds for this transaction alone, so that it works behind a pooler in transaction mode.
create or replace function mailer_api.call_as(claims text, fn text, args text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_claims json := claims;
  v_role text := v_claims ->> 'role';
  v_answer text;
begin
  if pg_my_temp_schema() <> 0 and exists (
    select from pg_type own where own.typnamespace = pg_my_temp_schema() and exists (
      select from pg_type known
      where known.typname = own.typname and known.typnamespace = 'pg_catalog'::regnamespace)
  ) then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'This session has made a temporary type that bears the name of one of PostgreSQL.';
  end if;
  if current_setting('role') in ('anon', 'authenticated') then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = format('The database role %s may not call.', current_setting('role'));
  end if;
  if not exists (
    select from mailer.functions f where f.name = call_as.fn and v_role = any (f.roles)
  ) then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = format('The role %s may not call %s.', coalesce(v_role, 'without a name'), fn);
  end if;
  if coalesce(v_claims ->> 'sub', '') = '' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'The claims name no sub.';
  end if;
  perform set_config('request.jwt.claims', claims, true);
  perform set_config('lock_timeout', coalesce(v_claims ->> 'lock_timeout_ms', '3000'), true);
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  if current_setting('DateStyle') <> 'ISO, MDY' then
    perform set_config('DateStyle', 'ISO, MDY', true);
  end if;
  if current_setting('IntervalStyle') <> 'postgres' then
    perform set_config('IntervalStyle', 'postgres', true);
  end if;
  if current_setting('TimeZone') <> 'UTC' then
    perform set_config('TimeZone', 'UTC', true);
  end if;
  if v_role = 'user' then
    return mailer.run_as_owner(fn, args);
  elsif fn = 'accept_emails' then
    return mailer.accept_emails(args);
  elsif fn = 'claim_due' then
    return mailer.claim_due(args);
  elsif fn = 'fence_attempts' then
    return mailer.fence_attempts(args);
  elsif fn = 'settle_attempts' then
    return mailer.settle_attempts(args);
  end if;
  execute format('select mailer.%I($1)', fn) using args into v_answer;
  return v_answer;
end
$$;

-- It acts as mailer_service, who may not make anything but in this moment.
grant create on schema mailer_api to mailer_service;
alter function mailer_api.call_as(text, text, text) owner to mailer_service;
revoke create on schema mailer_api from mailer_service;
revoke execute on function mailer_api.call_as(text, text, text) from public;
grant execute on function mailer_api.call_as(text, text, text) to mailer_client;
do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
    grant execute on function mailer_api.call_as(text, text, text) to service_role;
  end if;
end
$$;
