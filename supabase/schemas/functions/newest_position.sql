-- newest_position: of the sealed entries that the caller may see; 0 when there is none.
create or replace function mailer.newest_position() returns bigint
language sql stable set search_path = ''
as $$
  select coalesce((select s.position from mailer.seals s
    where (mailer.claim_role() is distinct from 'user' or s.owner_id = mailer.claim_sub())
    order by s.position desc limit 1), 0)
$$;

grant execute on function mailer.newest_position() to mailer_owner;
