-- clock: the database's clock, which alone decides what is due.
create or replace function mailer.clock(args text) returns text
language sql volatile
as $$ select to_json(clock_timestamp())::text $$;

call mailer.offer('clock', 'ping');
