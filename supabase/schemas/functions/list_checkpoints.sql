-- list_checkpoints: args { before | null (a position, exclusive), offset, limit };
-- answer [{ position, checkpoint: JSON as text }], the newest first.
create or replace function mailer.list_checkpoints(args text) returns text
language sql stable set search_path = ''
as $$
  select coalesce(json_agg(json_build_object('position', q.position, 'checkpoint', q.checkpoint)
    order by q.position desc), '[]')::text
  from (
    select c.position, c.checkpoint from mailer.checkpoints c
    where c.position < coalesce((args::jsonb ->> 'before')::bigint, 9223372036854775807)
    order by c.position desc
    limit (args::jsonb ->> 'limit')::integer offset (args::jsonb ->> 'offset')::integer) q
$$;

call mailer.offer('list_checkpoints', 'admin');
