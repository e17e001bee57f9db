-- is_transport_down: whether a process knows that a transport, as it last said of it, lets nothing
-- through: not once its next probe is overdue by 3 s, for want of an email that could be the probe.
create or replace function mailer.is_transport_down(transport jsonb) returns boolean
language sql stable
return transport ->> 'breaker' <> 'closed'
  and coalesce((transport ->> 'nextProbeAt')::timestamptz > clock_timestamp() - interval '3 s', true);
