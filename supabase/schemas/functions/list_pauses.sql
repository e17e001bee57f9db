-- list_pauses: args {}; answer [{ kind, name, paused_at, paused_by, reason }], the oldest first.
create or replace function mailer.list_pauses(args text) returns text
language sql stable
set search_path = ''
return (select coalesce(json_agg(p order by p.paused_at, p.kind, p.name), '[]')::text
  from mailer.pauses p);

call mailer.offer('list_pauses', 'admin', 'reconciler', 'metrics');
