-- replay_email: a person sends a dead letter again, to those who have not got it; one that is
-- held is released.
-- args { id, origin, scheduled_at | null (now), quota_pending | null, and for an edit what change_email takes: version,
--        attempts, wrapped_key, fields, change }, and behind it its lines;
-- answer { kind: "replayed", delay_ms: until it is due } | { kind: "not_found" }
--   | { kind: "not_a_dead_letter", state } | { kind: "conflict" }; a claimed email is not said to
--   be sending.
-- Guarantees those of replay_rows; the edit and the replay happen together or not at all.
create or replace function mailer.replay_email(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_head integer := strpos(args || E'\n', E'\n');
  v_args jsonb := left(args, v_head - 1);
  v_lines text[] := string_to_array(substr(args, v_head + 1), E'\n');
  v_change jsonb := v_args -> 'change';
  v_email mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_email.state not in ('failed', 'uncertain', 'partially_sent', 'held') then
    return jsonb_build_object('kind', 'not_a_dead_letter', 'state',
      mailer.shown_state(v_email.state, v_email.fenced_at))::text;
  end if;
  perform mailer.assert_quota(v_email.owner_id, (v_email.state <> 'held')::integer,
    (v_args ->> 'quota_pending')::bigint);
  if v_change is not null then
    if v_email.version <> (v_args ->> 'version')::integer
      or v_email.attempts <> (v_args ->> 'attempts')::smallint
      or v_email.wrapped_key is distinct from v_args ->> 'wrapped_key' then
      return '{"kind":"conflict"}';
    end if;
    perform mailer.edit_row(v_email, v_change, v_lines);
  end if;
  return mailer.replay_one(v_email.id,
    coalesce(mailer.ceil_ms((v_args ->> 'scheduled_at')::timestamptz),
      date_trunc('milliseconds', clock_timestamp())),
    v_args ->> 'scheduled_at' is not null, coalesce(v_change ? 'content', false), v_args, 'replayed');
end
$$;

call mailer.offer('replay_email', 'user', 'admin');
