-- Roles and schemas.
--
-- Tables live in schema mailer; nobody but three roles that cannot log in and cannot bypass
-- row-level security ever touches them:
--   mailer_owner    what callers may do; sees rows of the claims' sub only
--   mailer_service  what the program itself and admins do; sees all rows
--   mailer_dropper  deletes entries of the journal up to where a sealed entry has said it, through
--                   the function delete_dropped, and does nothing else
-- mailer_client may call mailer_api.call_as, the one way in, and nothing else.
--
-- The claims of a call name one of these roles, and mailer.functions says what each may call, so
-- that what goes wrong in a worker cannot accept emails, read keys or seal the journal:
--   user, admin    whoever asks through the API
--   accept         takes new emails in
--   worker         claims, fences, settles and returns
--   reconciler     beats, takes over from the dead
--   sealer         seals the journal
--   keys           rotates encryption keys
--   maintenance    does what is due every hour or day
--   authenticator  looks API keys and dropped signing keys up
--   reader         asks how new a read replica has to be
--   console        sessions of the console
--   metrics        counts
--   ping           asks for the time and nothing else

-- The SQL editor and `supabase db push` refuse by name what `taskforce-mailer migrate` refuses.
do $$
begin
  if to_regnamespace('mailer') is not null then
    raise exception 'this database holds the schema mailer of an earlier program'
      using hint = 'To begin anew, which destroys what is in it: drop schema mailer, mailer_api cascade';
  end if;
end
$$;

do $$
declare
  v_role text;
  v_right text := case when current_setting('server_version_num')::integer >= 160000
    then 'set' else 'member' end;
begin
  foreach v_role in array array['mailer_owner', 'mailer_service', 'mailer_dropper', 'mailer_client'] loop
    begin
      if not exists (select from pg_catalog.pg_roles where rolname = v_role) then
        execute format('create role %I nologin noinherit nobypassrls', v_role);
      end if;
    exception
      -- Roles belong to the cluster: another database of it may be migrating right now.
      when duplicate_object or unique_violation then null;
    end;
    -- Without membership a migrating user who is no superuser cannot give functions away. From
    -- PostgreSQL 16 on whoever makes a role is a member who may not act as it, until it says so.
    begin
      if not pg_catalog.pg_has_role(current_user, v_role, v_right) then
        execute format('grant %I to %I', v_role, current_user);
      end if;
    exception
      when unique_violation then null;
    end;
  end loop;
end
$$;

create schema mailer;
create schema mailer_api;
revoke all on schema mailer, mailer_api from public;
grant usage on schema mailer to mailer_owner, mailer_service, mailer_dropper;
grant usage on schema mailer_api to mailer_client;

-- What PostgREST calls with on Supabase.
do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
    grant mailer_client to service_role;
    grant usage on schema mailer_api to service_role;
  end if;
end
$$;
