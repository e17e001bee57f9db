-- report_state: keeps what a process says of itself, for others to read, and journals a transport
-- that has gone down or is up again. args { worker_id, state: { transports: [{ name, breaker, reason,
-- reply, smtpCode, workedMsAgo }], … } }; answer { is_known }: false before its first beat, and once
-- its row is gone.
-- Guarantees: a transport of a region is down as soon as one process says so, and up once a message
-- got through since and no living process says otherwise. A process that has no email to try it with
-- once its next probe is due says nothing about it, until it tries again (is_transport_down): each is journalled once, whatever number of
-- processes there is, and a process that has just started tells nothing before it has sent.
create or replace function mailer.report_state(args text) returns text
language plpgsql
set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_region text;
  v_transport jsonb;
  v_name text;
begin
  update mailer.workers w set state = v_args -> 'state'
  where w.id = (v_args ->> 'worker_id')::uuid
  returning w.region into v_region;
  if not found then
    return '{"is_known":false}';
  end if;
  for v_transport in select t from jsonb_array_elements(v_args -> 'state' -> 'transports') t
    order by t ->> 'name'
  loop
    v_name := v_transport ->> 'name';
    if mailer.is_transport_down(v_transport) then
      perform mailer.begin_incident('transport', v_region, v_name, 'down', jsonb_build_object(
        'region', v_region, 'transport', v_name, 'reason', v_transport -> 'reason',
        'reply', v_transport -> 'reply', 'smtp_code', v_transport -> 'smtpCode'));
    elsif v_transport ->> 'breaker' = 'closed' and exists (select from mailer.incidents i
        where i.kind = 'transport' and i.region = v_region and i.name = v_name
          and i.since <= clock_timestamp()
            - (v_transport ->> 'workedMsAgo')::bigint * interval '1 ms')
      and not exists (select from mailer.workers w
        where w.region = v_region and mailer.is_living(w, interval '5 seconds')
          and exists (select from jsonb_array_elements(w.state -> 'transports') t
            where t ->> 'name' = v_name and mailer.is_transport_down(t)))
    then
      perform mailer.end_incident('transport', v_region, v_name, 'up',
        jsonb_build_object('region', v_region, 'transport', v_name));
    end if;
  end loop;
  return '{"is_known":true}';
end
$$;

call mailer.offer('report_state', 'reconciler');
