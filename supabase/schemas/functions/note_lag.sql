-- note_lag: journals `<kind>.behind` when p_ms, by which something is behind, is p_from_ms or more,
-- and `<kind>.caught_up` once it is at most p_to_ms.
create or replace function mailer.note_lag(
  p_kind text, p_region text, p_ms bigint, p_from_ms bigint, p_to_ms bigint) returns void
language plpgsql set search_path = ''
as $$
begin
  if p_ms >= p_from_ms then
    perform mailer.begin_incident(p_kind, p_region, '', 'behind',
      jsonb_build_object('region', nullif(p_region, ''), 'behind_ms', p_ms));
  elsif p_ms <= p_to_ms then
    perform mailer.end_incident(p_kind, p_region, '', 'caught_up',
      jsonb_build_object('region', nullif(p_region, '')));
  end if;
end
$$;
