-- resume_sending: args { kind, name, reason | null, origin | null }; answer { was_paused }.
-- Guarantees: what was paused may be claimed again once it returns; the journal has who resumed it,
-- why if a reason was given, and whose pause it was.
create or replace function mailer.resume_sending(args text) returns text
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
  perform mailer.write_entry(
    case v_pause.kind when 'owner' then v_pause.name else mailer.claim_sub() end, 'sending.resumed',
    jsonb_strip_nulls(jsonb_build_object(v_pause.kind, v_pause.name,
      'paused_at', v_pause.paused_at, 'paused_by', v_pause.paused_by,
      'reason', v_args ->> 'reason')), v_args ->> 'origin');
  return '{"was_paused":true}';
end
$$;

call mailer.offer('resume_sending', 'admin');
