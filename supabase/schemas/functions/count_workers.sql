-- count_workers: living processes that send. args {}; answer: a number.
create or replace function mailer.count_workers(args text) returns text
language sql stable
as $$
  select count(*)::text from mailer.workers w
  where w.role <> 'api' and mailer.is_living(w, interval '5 seconds')
$$;

call mailer.offer('count_workers', 'reconciler');
