-- A role of the claims for each part of the program, and names that nobody can bend.
--
-- Until now every part of the program called as `service`, which may call whatever any of them
-- needs. Now each may call what its own work takes and nothing else: what goes wrong in a worker
-- cannot accept emails, read keys or seal the journal.
--   accept         takes new emails in
--   worker         claims, fences, settles and releases
--   reconciler     beats, takes over from the dead, fills the queue
--   sealer         seals the journal
--   authenticator  looks API keys and dropped signing keys up
--   metrics        counts
--   ping           asks for the time and nothing else
-- `service` stays for one release, so that processes of the release before go on working while
-- they are replaced one by one; this program never calls as it, and no newer function knows it.

update mailer.functions f set roles = f.roles || parts.roles
from (values
  ('schedule_emails', array['accept']),
  ('find_idempotent', array['accept']),
  ('keep_answer', array['accept']),
  ('claim_emails', array['worker']),
  ('rewake_email', array['worker']),
  ('read_message', array['worker']),
  ('fence_attempts', array['worker']),
  ('settle_attempts', array['worker']),
  ('release_emails', array['worker']),
  ('reserve_slots', array['worker']),
  ('beat', array['reconciler']),
  ('stop_worker', array['reconciler']),
  ('take_over', array['reconciler']),
  ('set_queue_marker', array['reconciler']),
  ('queue_due', array['reconciler']),
  ('unqueue', array['reconciler']),
  ('count_workers', array['reconciler']),
  ('check_key', array['reconciler']),
  ('forget_idempotent', array['reconciler']),
  ('overdue_emails', array['reconciler']),
  ('adopt_emails', array['reconciler']),
  ('region_standing', array['reconciler']),
  ('seal_journal', array['sealer']),
  ('journal_lag', array['sealer']),
  ('find_api_key', array['authenticator']),
  ('note_api_key_use', array['authenticator']),
  ('dropped_signing_keys', array['authenticator']),
  ('read_figures', array['metrics']),
  ('clock', array['ping'])
) as parts (name, roles)
where f.name = parts.name;

-- What the claims say, as expressions that were read once, now: a search path that somebody sets
-- later changes nothing in them, and the planner still puts them in place. (With a SET clause of
-- its own may_see takes 30 microseconds a row instead of one; measured.)

create or replace function mailer.claim_sub() returns text
language sql stable
return nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub';

-- Never null, which would be neither a role that sees all nor one that does not.
create or replace function mailer.claim_role() returns text
language sql stable
return coalesce(nullif(current_setting('request.jwt.claims', true), '')::json ->> 'role', '');

-- True when the claims may see rows of this owner; without claims nobody may.
create or replace function mailer.may_see(owner_id text) returns boolean
language sql stable
return mailer.claim_role() in ('admin', 'service')
  or coalesce(owner_id = mailer.claim_sub(), false);

-- A key that is an admin's is made by an admin, hence never as mailer_owner: the second wall behind
-- the check in create_api_key.
create policy no_keys_of_admins on mailer.api_keys as restrictive for insert to mailer_owner
  with check (not 'admin' = any (scopes));

-- As before, but never for `anon` and `authenticated`: Supabase's guide to exposing a schema has
-- everything in it granted to them, and whoever follows it must not open this door. The role that
-- PostgREST takes on is still to be seen here, in a function that runs as its owner.
create or replace function mailer_api.call_as(claims text, fn text, args text) returns text
language plpgsql security definer set search_path = ''
as $$
declare
  v_role text := claims::json ->> 'role';
  v_answer text;
begin
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

-- Every function with a body of statements looks names up in pg_catalog and where it says, whoever
-- calls it with whatever search path; triggers too, which run in the session of a SQL console. It
-- costs 5 microseconds a call. Functions made later say it themselves: a test looks.
do $$
declare
  v_function regprocedure;
begin
  for v_function in
    select p.oid::regprocedure from pg_catalog.pg_proc p
    join pg_catalog.pg_language l on l.oid = p.prolang
    where p.pronamespace = 'mailer'::regnamespace and l.lanname = 'plpgsql' and not exists (
      select from unnest(p.proconfig) c where c like 'search_path=%')
  loop
    execute format('alter function %s set search_path = %L', v_function, '');
  end loop;
end
$$;
