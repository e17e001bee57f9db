-- read_minutes: what all processes did, summed over steps of time.
--
-- args { from, to, step_seconds }
-- answer [{ slot, accepted, sent, partial, deferred, bounced, uncertain, lateness: [n, ...] }]
--   slot: steps since from; those in which nothing happened are left out. Of lateness at most 20
--   places are read.
create or replace function mailer.read_minutes(args text) returns text
language plpgsql stable set search_path = '' set jit = off
as $$
declare
  v_args jsonb := args;
  v_from timestamptz := v_args ->> 'from';
  v_to timestamptz := v_args ->> 'to';
  v_step numeric := greatest((v_args ->> 'step_seconds')::integer, 60);
begin
  -- Place by place: to unnest a day of ten processes takes six times as long. A place that no
  -- process has is null.
  return (
    select coalesce(json_agg(json_build_object('slot', s.slot, 'accepted', s.accepted,
      'sent', s.sent, 'partial', s.partial, 'deferred', s.deferred, 'bounced', s.bounced,
      'uncertain', s.uncertain, 'lateness', array_remove(s.lateness, null)) order by s.slot),
      '[]')::text
    from (
      select floor(extract(epoch from m.minute - v_from) / v_step)::integer as slot,
        sum(m.accepted) as accepted, sum(m.sent) as sent, sum(m.partial) as partial,
        sum(m.deferred) as deferred, sum(m.bounced) as bounced, sum(m.uncertain) as uncertain,
        array[sum(m.lateness[1]), sum(m.lateness[2]), sum(m.lateness[3]), sum(m.lateness[4]),
        sum(m.lateness[5]), sum(m.lateness[6]), sum(m.lateness[7]), sum(m.lateness[8]),
        sum(m.lateness[9]), sum(m.lateness[10]), sum(m.lateness[11]), sum(m.lateness[12]),
        sum(m.lateness[13]), sum(m.lateness[14]), sum(m.lateness[15]), sum(m.lateness[16]),
        sum(m.lateness[17]), sum(m.lateness[18]), sum(m.lateness[19]), sum(m.lateness[20])] as lateness
      from mailer.minutes m
      where m.minute >= v_from and m.minute < v_to
      group by 1
    ) s
  );
end
$$;

call mailer.offer('read_minutes', 'admin');
