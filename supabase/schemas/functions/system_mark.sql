-- system_mark: the system identifier, which initdb gives a cluster and a copy of its files keeps; null
-- where it may not be asked.
create or replace function mailer.system_mark() returns text
language plpgsql stable set search_path = ''
as $$
begin
  return (select c.system_identifier::text from pg_catalog.pg_control_system() c);
exception
  when others then return null;
end
$$;
