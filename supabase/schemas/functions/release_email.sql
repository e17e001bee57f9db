-- release_email: lets a held email go.
-- args { id, origin, and scheduled_at | null (null: now) when a time was asked for; without it:
--        when it was due anyway, or now when that has passed };
-- answer { kind: "released", delay_ms: until it is due } | { kind: "not_found" }
--   | { kind: "not_held", state }; a claimed email is not said to be sending.
create or replace function mailer.release_email(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
  v_now timestamptz;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state <> 'held' then
    return jsonb_build_object('kind', 'not_held', 'state',
      mailer.shown_state(v_email.state, v_email.fenced_at))::text;
  end if;
  v_now := date_trunc('milliseconds', clock_timestamp());
  return mailer.replay_one(v_email.id, case when v_args ? 'scheduled_at'
      then coalesce(mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz), v_now)
      else greatest(v_email.next_attempt_at, v_now) end,
    v_args ? 'scheduled_at', false, v_args, 'released');
end
$$;

call mailer.offer('release_email', 'user', 'admin');
