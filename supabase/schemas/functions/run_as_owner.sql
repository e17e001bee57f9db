-- run_as_owner: runs a function as mailer_owner, under row-level security for the claims' sub. call_as
-- has seen to it that the session has no type that would be taken for PostgreSQL's.
create or replace function mailer.run_as_owner(fn text, args text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  v_answer text;
begin
  execute format('select mailer.%I($1)', fn) using args into v_answer;
  return v_answer;
end
$$;

-- It acts as mailer_owner, who may not make anything but in this moment.
grant create on schema mailer to mailer_owner;
alter function mailer.run_as_owner(text, text) owner to mailer_owner;
revoke create on schema mailer from mailer_owner;
revoke execute on function mailer.run_as_owner(text, text) from public;
grant execute on function mailer.run_as_owner(text, text) to mailer_service;
