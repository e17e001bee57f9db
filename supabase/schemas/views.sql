-- For people who read with supabase-js: read-only views of the caller's own emails.
--
-- The views are security_invoker: what they show is decided by the rights and the row-level
-- security of whoever asks. Supabase's role `authenticated` may read the columns named below, of
-- rows whose owner is the sub of its token, and nothing else: no content, no addresses, no
-- subject, not even encrypted. `anon` may read nothing. On a PostgreSQL without these roles the
-- views are there and nobody but their owner may use them.

-- emails: the status of each email; attempts is how many were made. A claim without a fence is not
-- shown.
create view mailer_api.emails with (security_invoker = true) as
  select e.id, case when e.state = 'sending' and e.fenced_at is null then 'pending'
      else e.state end as status, e.region, e.created_at, e.scheduled_at,
    case when e.state in ('pending', 'sending') then e.next_attempt_at end as next_attempt_at,
    e.sent_at, e.expires_at, e.attempts, e.tags, e.metadata, e.version
  from mailer.emails e;

-- recipients: what became of each, by its place in the email; 0 is the first of the To line.
create view mailer_api.recipients with (security_invoker = true) as
  select r.email_id, r.position, r.kind, r.status, r.smtp_code, r.enhanced_code
  from mailer.recipients r;

-- events: what happened to an email, in order of its sequence.
create view mailer_api.events with (security_invoker = true) as
  select j.email_id, j.sequence, j.at, j.action, j.detail
  from mailer.journal j
  where j.email_id is not null and j.sequence is not null;

revoke all on mailer_api.emails, mailer_api.recipients, mailer_api.events from public;

do $$
declare
  v_table text;
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'authenticated') then
    return;
  end if;
  grant usage on schema mailer, mailer_api to authenticated;
  grant execute on function mailer.claim_sub() to authenticated;
  grant select on mailer_api.emails, mailer_api.recipients, mailer_api.events to authenticated;
  grant select (id, state, region, created_at, scheduled_at, next_attempt_at, sent_at,
    expires_at, attempts, tags, metadata, version, fenced_at) on mailer.emails to authenticated;
  grant select (email_id, position, kind, status, smtp_code, enhanced_code)
    on mailer.recipients to authenticated;
  grant select (email_id, sequence, at, action, detail)
    on mailer.journal to authenticated;
  foreach v_table in array array['emails', 'recipients', 'journal'] loop
    execute format(
      'create policy own_rows_of_users on mailer.%I for select to authenticated
         using (owner_id = (select mailer.claim_sub()))', v_table);
  end loop;
end
$$;
