-- clock: the database's clock, which alone decides what is due.
create or replace function mailer.clock(args text) returns text
language sql volatile
as $$ select to_json(clock_timestamp())::text $$;

revoke execute on function mailer.clock(text) from public;
grant execute on function mailer.clock(text) to mailer_service;
insert into mailer.functions (name, roles) values ('clock', array['ping'])
  on conflict (name) do update set roles = excluded.roles;
