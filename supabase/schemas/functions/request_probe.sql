-- request_probe: an admin asks the processes that hold a transport's breaker open to try it now.
--
-- args { transport, origin | null }; answer { asked_at }
--
-- Guarantees: the entry transport.probe_requested stands in the admin's journal. Emails that were
-- given back until a later moment are due now, up to ten of each region and those that were due
-- first, since a probe needs an email. One that waits for its own retry stays as it is.
create or replace function mailer.request_probe(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_transport text := v_args ->> 'transport';
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  insert into mailer.probe_requests (transport, asked_at) values (v_transport, v_now)
  on conflict (transport) do update set asked_at = excluded.asked_at;
  update mailer.emails e set next_attempt_at = v_now, returned_until = v_now
  where e.id in (
    select q.id from mailer.regions r cross join lateral (
      select p.id from mailer.emails p
      where p.region = r.name and p.state = 'pending' and p.next_attempt_at = p.returned_until
        and p.next_attempt_at > v_now
      order by p.due_since limit 10 for update skip locked
    ) q);
  perform mailer.write_entry(mailer.claim_sub(), 'transport.probe_requested',
    jsonb_build_object('transport', v_transport), v_args ->> 'origin');
  return jsonb_build_object('asked_at', v_now)::text;
end
$$;

call mailer.offer('request_probe', 'admin');
