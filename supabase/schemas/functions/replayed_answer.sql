-- replayed_answer: writes the journal for a replay_row of one email, and answers
-- { kind, delay_ms: until it is due }. Raises invalid_content, which undoes an edit as well, when
-- nobody was left to send to.
create or replace function mailer.replayed_answer(v_before mailer.emails, v_after mailer.emails,
  v_args jsonb, v_kind text) returns text
language plpgsql set search_path = ''
as $$
begin
  if v_after.id is null then
    raise exception using errcode = 'TM001', message = 'invalid_content',
      detail = 'Nobody is left to send to: each recipient has got it or was refused.';
  end if;
  perform mailer.write_entry(v_after.owner_id, mailer.replay_action(v_before.state),
    jsonb_strip_nulls(jsonb_build_object('status', 'pending', 'from', v_before.state,
      'scheduled_at', v_after.next_attempt_at,
      'fields', nullif(v_args -> 'fields', '[]'))), v_args ->> 'origin', p_email => v_after.id,
    p_sequence => v_after.sequence);
  return jsonb_build_object('kind', v_kind, 'delay_ms',
    mailer.ms_until(v_after.next_attempt_at, clock_timestamp()))::text;
end
$$;

grant execute on function mailer.replayed_answer(mailer.emails, mailer.emails, jsonb, text) to mailer_owner;
