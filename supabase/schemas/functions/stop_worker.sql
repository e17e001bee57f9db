-- stop_worker: a process leaves in order; what it may still hold is taken over at once.
create or replace function mailer.stop_worker(args text) returns text
language plpgsql set search_path = ''
as $$
begin
  update mailer.workers w set stopped_at = clock_timestamp()
  where w.id = (args::jsonb ->> 'worker_id')::uuid;
  return 'true';
end
$$;

revoke execute on function mailer.stop_worker(text) from public;
grant execute on function mailer.stop_worker(text) to mailer_service;
insert into mailer.functions (name, roles) values ('stop_worker', array['reconciler'])
  on conflict (name) do update set roles = excluded.roles;
