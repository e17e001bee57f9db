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

call mailer.offer('stop_worker', 'reconciler');
