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

revoke execute on function mailer.forget_minutes(text) from public;
grant execute on function mailer.forget_minutes(text) to mailer_service;
insert into mailer.functions (name, roles) values ('forget_minutes', array['maintenance'])
  on conflict (name) do update set roles = excluded.roles;
