-- is_living: whether a process beats. One that left, or that others found without a new beat in five
-- looks in a row, does not, whatever the clock says. Where nobody is left to look, its last beat is
-- compared with the clock, and may be no further away than p_silent in either direction: after the
-- clock was set, the first beat of a living one, within a second, puts that right.
create or replace function mailer.is_living(p_worker mailer.workers, p_silent interval)
returns boolean
language sql stable
as $$
  select p_worker.stopped_at is null and p_worker.reaped_at is null
    and clock_timestamp() between p_worker.beat_at - p_silent and p_worker.beat_at + p_silent
$$;
