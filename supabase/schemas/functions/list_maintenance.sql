-- list_maintenance: args {}; answer [{ name, started_at, ended_at, result }], by name.
create or replace function mailer.list_maintenance(args text) returns text
language sql stable set search_path = ''
return (select coalesce(json_agg(json_build_object('name', m.name,
    'started_at', m.started_at, 'ended_at', m.ended_at, 'result', m.result) order by m.name), '[]')::text
  from mailer.maintenance m);

call mailer.offer('list_maintenance', 'admin', 'maintenance');
