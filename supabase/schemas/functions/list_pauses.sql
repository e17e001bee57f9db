-- list_pauses: args {}; answer [{ kind, name, paused_at, paused_by, reason }], the oldest first.
create or replace function mailer.list_pauses(args text) returns text
language sql stable
set search_path = ''
return (select coalesce(json_agg(p order by p.paused_at, p.kind, p.name), '[]')::text
  from mailer.pauses p);

revoke execute on function mailer.list_pauses(text) from public;
grant execute on function mailer.list_pauses(text) to mailer_service;
insert into mailer.functions (name, roles) values ('list_pauses', array['admin', 'reconciler', 'metrics'])
  on conflict (name) do update set roles = excluded.roles;
