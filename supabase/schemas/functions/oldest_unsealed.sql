-- oldest_unsealed: when the oldest unsealed entry was written; null when there is none.
create or replace function mailer.oldest_unsealed() returns timestamptz
language sql volatile set search_path = ''
as $$
  select min(q.at) from (
    (select j.at from mailer.journal j
      where j.id > (select s.sealed_to from mailer.sealer s where s.is_only_row)
      order by j.id limit 1)
    union all
    select f.at from mailer.journal_gaps g cross join lateral (
      select j.at from mailer.journal j where j.id between g.from_id and g.to_id
      order by j.id limit 1) f) q
$$;
