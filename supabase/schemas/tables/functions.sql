-- Which role of the claims may call which function; each function's own file adds its row.
create table mailer.functions (
  name text primary key,
  roles text[] not null
);

call mailer.guard('functions', p_service => 'select');
