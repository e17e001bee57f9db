-- journal_lag: how far the sealer is behind. args {}; answer { unsealed, oldest_ms }.
create or replace function mailer.journal_lag(args text) returns text
language sql volatile set search_path = ''
as $$
  select json_build_object('unsealed', c.unsealed,
    'oldest_ms', coalesce(mailer.ms_until(clock_timestamp(), c.oldest_at), 0))::text
  from mailer.count_unsealed(1000000) c
$$;

call mailer.offer('journal_lag', 'admin', 'sealer');
