-- count_unsealed: how many entries are not sealed, counted up to count_max, and since when the oldest
-- of them waits.
create or replace function mailer.count_unsealed(count_max integer, out unsealed bigint,
  out oldest_at timestamptz)
language sql volatile set search_path = ''
as $$
  select count(*), min(q.at) from (
    (select j.at from mailer.journal j
      where j.id > (select s.sealed_to from mailer.sealer s where s.is_only_row)
      order by j.id limit count_max)
    union all
    (select j.at from mailer.journal_gaps g
      join mailer.journal j on j.id between g.from_id and g.to_id limit count_max)) q
$$;
