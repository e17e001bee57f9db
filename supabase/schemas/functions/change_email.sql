-- change_email: edits an email that is pending or held.
--
-- args: { id, origin, version, attempts, wrapped_key (all as they were read),
--         fields: [names for the journal], is_probe,
--         change: edit_row's, and scheduled_at | null (null: now) when that changes }
--   and behind it the lines of edit_row.
-- answer: { kind: "changed", delay_ms | null: until it is due, null while it is held }
--   | { kind: "conflict" }    changed since it was read, or only probed: read it again
--   | { kind: "not_found" } | { kind: <error code of a 409> }
--
-- Guarantees: one compare-and-set; an email that is claimed is pending, and its claim is revoked;
-- nothing of an email is changed that is being sent, and nothing of its content once somebody has
-- it or may have it; nothing encrypted or indexed under a key that was replaced meanwhile is
-- stored. is_probe changes nothing.
create or replace function mailer.change_email(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_head integer := strpos(args || E'\n', E'\n');
  v_args jsonb := left(args, v_head - 1);
  v_lines text[] := string_to_array(substr(args, v_head + 1), E'\n');
  v_change jsonb := v_args -> 'change';
  v_moves boolean := v_change ? 'scheduled_at';
  v_is_content boolean := v_change ? 'content' or v_change ? 'recipients';
  v_email mailer.emails;
  v_now timestamptz;
  v_due timestamptz;
  v_refusal text;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  v_refusal := mailer.change_refusal(v_email, v_is_content);
  if v_refusal is not null then
    return jsonb_build_object('kind', v_refusal)::text;
  end if;
  if (v_args ->> 'is_probe')::boolean or v_email.version <> (v_args ->> 'version')::integer
    or v_is_content and v_email.attempts <> (v_args ->> 'attempts')::smallint
    or v_email.wrapped_key is distinct from v_args ->> 'wrapped_key' then
    return '{"kind":"conflict"}';
  end if;

  v_now := date_trunc('milliseconds', clock_timestamp());
  v_due := coalesce(mailer.ceil_ms((v_change ->> 'scheduled_at')::timestamptz), v_now);
  perform mailer.edit_row(v_email, v_change, v_lines);
  update mailer.emails e set version = e.version + 1, sequence = e.sequence + 1,
    scheduled_at = case when v_moves then v_due else e.scheduled_at end,
    next_attempt_at = case when v_moves then v_due else e.next_attempt_at end,
    age_from = case when v_moves then v_due else e.age_from end,
    expires_at = coalesce(mailer.expiry_of(case when v_moves then v_due else e.age_from end,
      e.max_lateness_seconds), e.expires_at)
  where e.id = v_email.id
  returning * into v_email;

  perform mailer.write_entry(v_email.owner_id,
    case when v_is_content or v_change ?| array['tags', 'metadata']
      then 'email.updated' else 'email.rescheduled' end,
    jsonb_build_object('status', v_email.state, 'fields', v_args -> 'fields',
      'scheduled_at', v_email.scheduled_at, 'version', v_email.version), v_args ->> 'origin',
    p_email => v_email.id, p_sequence => v_email.sequence);
  return jsonb_build_object('kind', 'changed', 'delay_ms', case when v_email.state = 'pending'
    then mailer.ms_until(v_email.next_attempt_at, v_now) end)::text;
end
$$;

call mailer.offer('change_email', 'user', 'admin');
