-- pause_sending: args { kind: region | owner, name, reason, origin | null }
-- answer { kind, name, paused_at, paused_by, reason }: of the pause in force, which may be an
-- earlier one.
-- Guarantees: once it returns no email concerned gets a fence; an owner's pause stands in that
-- owner's journal, a region's in the admin's.
create or replace function mailer.pause_sending(args text) returns text
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
  -- Fences that have looked already are granted first.
  perform pg_advisory_xact_lock(7382640006);
  insert into mailer.pauses (kind, name, paused_at, paused_by, reason)
  values (v_kind, v_name, date_trunc('milliseconds', clock_timestamp()), mailer.claim_sub(),
    v_args ->> 'reason')
  on conflict do nothing;
  v_is_new := found;
  select * into strict v_pause from mailer.pauses p where p.kind = v_kind and p.name = v_name;
  if v_is_new then
    perform mailer.write_entry(case v_kind when 'owner' then v_name else mailer.claim_sub() end,
      'sending.paused', jsonb_build_object(v_kind, v_name, 'reason', v_pause.reason),
      v_args ->> 'origin');
  end if;
  return to_json(v_pause)::text;
end
$$;

call mailer.offer('pause_sending', 'admin');
