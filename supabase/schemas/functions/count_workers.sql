-- count_workers: living processes that send. args {}; answer: a number.
create or replace function mailer.count_workers(args text) returns text
language sql stable
as $$
  select count(*)::text from mailer.workers w
  where w.role <> 'api' and mailer.is_living(w, interval '5 seconds')
$$;

revoke execute on function mailer.count_workers(text) from public;
grant execute on function mailer.count_workers(text) to mailer_service;
insert into mailer.functions (name, roles) values ('count_workers', array['reconciler'])
  on conflict (name) do update set roles = excluded.roles;
