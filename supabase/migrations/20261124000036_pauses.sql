-- The emergency stop: sending of a region, or of an owner's emails anywhere, is paused until
-- somebody resumes it. It is obeyed where emails are claimed and once more at the fence, so it
-- needs no Redis and survives every restart.

create table mailer.pauses (
  kind text not null check (kind in ('region', 'owner')),
  -- The region's name, or the owner's id.
  name text not null,
  paused_at timestamptz not null,
  paused_by text not null,
  reason text not null check (reason <> ''),
  primary key (kind, name)
);
alter table mailer.pauses enable row level security;
alter table mailer.pauses force row level security;
revoke all on mailer.pauses from public;
create policy service_rows on mailer.pauses to mailer_service using (true) with check (true);
grant select, insert, delete on mailer.pauses to mailer_service;

-- is_paused: whether emails of this owner in this region are not to be sent now.
create function mailer.is_paused(p_region text, p_owner text) returns boolean
language sql stable set search_path = ''
return exists (select from mailer.pauses p
  where (p.kind = 'region' and p.name = p_region) or (p.kind = 'owner' and p.name = p_owner));

-- pause_sending: args { kind: region | owner, name, reason, origin | null }
-- answer { kind, name, paused_at, paused_by, reason }: of the pause in force, which may be an
-- earlier one.
-- Guarantees: once it returns no email concerned gets a fence; an owner's pause stands in that
-- owner's journal, a region's in the admin's.
create function mailer.pause_sending(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_kind text := v_args ->> 'kind';
  v_name text := v_args ->> 'name';
  v_pause mailer.pauses;
  v_is_new boolean;
begin
  insert into mailer.pauses (kind, name, paused_at, paused_by, reason)
  values (v_kind, v_name, date_trunc('milliseconds', clock_timestamp()), mailer.claim_sub(),
    v_args ->> 'reason')
  on conflict do nothing;
  v_is_new := found;
  select * into strict v_pause from mailer.pauses p where p.kind = v_kind and p.name = v_name;
  if v_is_new then
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, origin, action, detail)
    values (case v_kind when 'owner' then v_name else mailer.claim_sub() end,
      mailer.claim_sub(), v_args ->> 'origin', 'sending.paused',
      jsonb_build_object(v_kind, v_name, 'reason', v_pause.reason));
  end if;
  return to_json(v_pause)::text;
end
$$;

-- resume_sending: args { kind, name, reason | null, origin | null }; answer { was_paused }.
-- Guarantees: what was paused may be claimed again once it returns; the journal has who resumed it,
-- why if a reason was given, and whose pause it was.
create function mailer.resume_sending(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_pause mailer.pauses;
begin
  delete from mailer.pauses p
  where p.kind = v_args ->> 'kind' and p.name = v_args ->> 'name' returning * into v_pause;
  if v_pause.name is null then
    return '{"was_paused":false}';
  end if;
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  values (case v_pause.kind when 'owner' then v_pause.name else mailer.claim_sub() end,
    mailer.claim_sub(), v_args ->> 'origin', 'sending.resumed',
    jsonb_strip_nulls(jsonb_build_object(v_pause.kind, v_pause.name,
      'paused_at', v_pause.paused_at, 'paused_by', v_pause.paused_by,
      'reason', v_args ->> 'reason')));
  return '{"was_paused":true}';
end
$$;

-- list_pauses: args {}; answer [{ kind, name, paused_at, paused_by, reason }], the oldest first.
create function mailer.list_pauses(args text) returns text
language sql stable
set search_path = ''
return (select coalesce(json_agg(p order by p.paused_at, p.kind, p.name), '[]')::text
  from mailer.pauses p);

revoke execute on function mailer.is_paused(text, text), mailer.pause_sending(text),
  mailer.resume_sending(text), mailer.list_pauses(text) from public;
grant execute on function mailer.is_paused(text, text), mailer.pause_sending(text),
  mailer.resume_sending(text), mailer.list_pauses(text) to mailer_service;
insert into mailer.functions (name, roles) values
  ('pause_sending', array['admin']),
  ('resume_sending', array['admin']),
  ('list_pauses', array['admin', 'reconciler', 'metrics']);

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000036"}';
