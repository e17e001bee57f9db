-- probe_request: when an admin last wanted a transport tried at once. args { transport };
-- answer { asked_at | null, age_ms | null }: age_ms by the database's clock.
create or replace function mailer.probe_request(args text) returns text
language sql stable
set search_path = ''
as $$
  select jsonb_build_object('asked_at', max(p.asked_at), 'age_ms',
    mailer.ms_until(clock_timestamp(), max(p.asked_at)))::text
  from mailer.probe_requests p where p.transport = args::jsonb ->> 'transport'
$$;

call mailer.offer('probe_request', 'reconciler');
