-- hold_email: stops a pending email until a person releases it. args { id, origin };
-- answer { kind: "held" } (also when it already was) | { kind: "not_found" }
--   | { kind: <error code of a 409> }.
create or replace function mailer.hold_email(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_email mailer.emails;
  v_refusal text;
begin
  select * into v_email from mailer.emails e where e.id = (v_args ->> 'id')::uuid for update;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  v_refusal := mailer.change_refusal(v_email, false);
  if v_refusal is not null or v_email.state = 'held' then
    return jsonb_build_object('kind', coalesce(v_refusal, 'held'))::text;
  end if;
  update mailer.emails e set state = 'held', version = e.version + 1, sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.write_entry(v_email.owner_id, 'email.held',
    '{"status": "held", "reason": "by_person"}', v_args ->> 'origin', p_email => v_email.id,
    p_sequence => v_email.sequence + 1);
  return '{"kind":"held"}';
end
$$;

call mailer.offer('hold_email', 'user', 'admin');
