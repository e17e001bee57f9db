-- set_dead_at: a trigger, because several functions make dead letters.
create or replace function mailer.set_dead_at() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.dead_at := date_trunc('milliseconds', clock_timestamp());
  -- What becomes a dead letter again waits for a person again.
  new.dismissed_at := null;
  return new;
end
$$;
