-- list_owners: whose emails there are, by name. args { limit, offset | null, after | null: a name };
-- answer { owners: [{ owner, accepted_today, pending, last_activity_at }], total | null,
--   has_more }. An owner is listed from its first entry in the journal on. total only with offset.
create or replace function mailer.list_owners(args text) returns text
language sql stable set search_path = ''
as $$
  with page as materialized (
    select h.owner_id, row_number() over (order by h.owner_id) as n
    from mailer.journal_heads h
    where args::jsonb ->> 'after' is null or h.owner_id > (args::jsonb ->> 'after')
    order by h.owner_id
    limit (args::jsonb ->> 'limit')::integer + 1
    offset coalesce((args::jsonb ->> 'offset')::integer, 0)
  )
  select jsonb_build_object(
    'owners', coalesce((select jsonb_agg(jsonb_build_object('owner', p.owner_id,
        'accepted_today', coalesce((c.counts ->> 'accepted')::bigint, 0),
        'pending', (c.counts ->> 'pending')::bigint,
        'last_activity_at', (select j.at from mailer.journal j
          where j.id = (select s.entry_id from mailer.seals s where s.owner_id = p.owner_id
            order by s.position desc limit 1))) order by p.n)
      from page p cross join lateral (
        select mailer.email_counts_of(p.owner_id) as counts offset 0) c
      where p.n <= (args::jsonb ->> 'limit')::integer), '[]'),
    'total', case when args::jsonb ->> 'offset' is not null
      then (select count(*) from mailer.journal_heads) end,
    'has_more', (select count(*) from page) > (args::jsonb ->> 'limit')::integer)::text
$$;

call mailer.offer('list_owners', 'admin');
