-- reset_crashes: an attempt that was settled, by whatever outcome, clears an email of suspicion; so
-- does a person who sends it again.
create or replace function mailer.reset_crashes() returns trigger
language plpgsql set search_path = ''
as $$
begin
  new.crashes := 0;
  return new;
end
$$;
