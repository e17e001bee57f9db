-- Which role of the claims may call which function; each function's own file adds its row.
create table mailer.functions (
  name text primary key,
  roles text[] not null
);

alter table mailer.functions enable row level security;
alter table mailer.functions force row level security;
revoke all on mailer.functions from public;
create policy service_rows on mailer.functions to mailer_service using (true) with check (true);
grant select on mailer.functions to mailer_service;
