-- timeline: of this database's write-ahead log, which a failover or a restored backup changes; null
-- where that may not be asked, which is then no reason to hold anything back.
create or replace function mailer.timeline() returns text
language plpgsql stable set search_path = ''
as $$
begin
  return left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8);
exception
  when others then return null;
end
$$;
