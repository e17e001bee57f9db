-- forget_minutes: args { limit }; answer: how many minutes of 30 days ago were forgotten, the oldest
-- first.
create or replace function mailer.forget_minutes(args text) returns text
language plpgsql set search_path = '' set jit = off
as $$
declare
  v_count integer;
begin
  delete from mailer.minutes m
  where (m.minute, m.worker_id) in (
    select o.minute, o.worker_id from mailer.minutes o
    where o.minute < now() - interval '30 days'
    order by o.minute limit (args::jsonb ->> 'limit')::integer);
  get diagnostics v_count = row_count;
  return v_count::text;
end
$$;

call mailer.offer('forget_minutes', 'maintenance');
