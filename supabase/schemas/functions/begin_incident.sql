-- begin_incident: notes that something is wrong; journals `<kind>.<action>` with the detail, unless
-- it was known. The journal insert is the last write of whoever calls it, but for another of these.
create or replace function mailer.begin_incident(
  p_kind text, p_region text, p_name text, p_action text, p_detail jsonb) returns void
language plpgsql set search_path = ''
as $$
begin
  insert into mailer.incidents (kind, region, name, since)
  values (p_kind, p_region, p_name, clock_timestamp())
  on conflict do nothing;
  if found then
    perform mailer.write_entry('taskforce-mailer:system', p_kind || '.' || p_action,
      jsonb_strip_nulls(p_detail));
  end if;
end
$$;
