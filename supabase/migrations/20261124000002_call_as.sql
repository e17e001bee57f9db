-- The one way in.

-- Runs a function as mailer_owner, under row-level security for the claims' sub.
create function mailer.run_as_owner(fn text, args text) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  v_answer text;
begin
  execute format('select mailer.%I($1)', fn) using args into v_answer;
  return v_answer;
end
$$;

-- Calls mailer.<fn> on behalf of the claims {"role": "user|admin|service", "sub": "…"}, in
-- one transaction. Text in, text out, so that it is the same over PGlite, pg and PostgREST.
-- A refusal is raised with SQLSTATE TM001, the error code as message and words in detail.
create function mailer_api.call_as(claims text, fn text, args text) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  v_role text := claims::json ->> 'role';
  v_answer text;
begin
  if not exists (
    select from mailer.functions f where f.name = call_as.fn and v_role = any (f.roles)
  ) then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = format('The role %s may not call %s.', coalesce(v_role, 'without a name'), fn);
  end if;
  if coalesce(claims::json ->> 'sub', '') = '' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'The claims name no sub.';
  end if;
  perform set_config('request.jwt.claims', claims, true);
  perform set_config('lock_timeout', '3s', true);
  if v_role = 'user' then
    return mailer.run_as_owner(fn, args);
  end if;
  execute format('select mailer.%I($1)', fn) using args into v_answer;
  return v_answer;
end
$$;

grant create on schema mailer to mailer_owner;
grant create on schema mailer_api to mailer_service;
alter function mailer.run_as_owner(text, text) owner to mailer_owner;
alter function mailer_api.call_as(text, text, text) owner to mailer_service;
revoke create on schema mailer from mailer_owner;
revoke create on schema mailer_api from mailer_service;

revoke all on function mailer.run_as_owner(text, text) from public;
revoke all on function mailer_api.call_as(text, text, text) from public;
grant execute on function mailer.run_as_owner(text, text) to mailer_service;
grant execute on function mailer_api.call_as(text, text, text) to mailer_client;

do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
    grant mailer_client to service_role;
    grant usage on schema mailer_api to service_role;
    grant execute on function mailer_api.call_as(text, text, text) to service_role;
  end if;
end
$$;
