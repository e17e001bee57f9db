-- end_incident: notes that something is well again; journals `<kind>.<action>` with the detail and
-- how long it lasted, unless nothing was known to be wrong.
create or replace function mailer.end_incident(
  p_kind text, p_region text, p_name text, p_action text, p_detail jsonb) returns void
language plpgsql set search_path = ''
as $$
declare
  v_since timestamptz;
begin
  delete from mailer.incidents i
  where i.kind = p_kind and i.region = p_region and i.name = p_name
  returning i.since into v_since;
  if found then
    perform mailer.write_entry('taskforce-mailer:system', p_kind || '.' || p_action,
      jsonb_strip_nulls(p_detail) || jsonb_build_object('lasted_ms',
        greatest(0, mailer.ms_until(clock_timestamp(), v_since))));
  end if;
end
$$;
