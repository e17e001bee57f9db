-- cancel_email: one compare-and-set, possible until the fence.
-- args { id, origin }; answer { kind: "cancelled" } (also when it already was)
--   | { kind: "not_found" } | { kind: <error code of a 409> }.
-- Guarantees: after "cancelled" nothing of it will be sent. Hence the refusals where a part
-- of it was, or may have been, sent already.
create or replace function mailer.cancel_email(args text) returns text
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
  if v_email.state = 'cancelled' then
    return '{"kind":"cancelled"}';
  end if;
  v_refusal := mailer.change_refusal(v_email, true);
  if v_refusal is not null then
    return jsonb_build_object('kind', v_refusal)::text;
  end if;

  update mailer.emails e set state = 'cancelled', version = e.version + 1, worker_id = null,
    sequence = e.sequence + 1
  where e.id = v_email.id;
  perform mailer.write_entry(v_email.owner_id, 'email.cancelled', '{"status": "cancelled"}',
    v_args ->> 'origin', p_email => v_email.id, p_sequence => v_email.sequence + 1);
  return '{"kind":"cancelled"}';
end
$$;

call mailer.offer('cancel_email', 'user', 'admin');
