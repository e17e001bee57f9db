-- list_checkpoints: args { before | null (a position, exclusive), offset, limit };
-- answer [{ position, checkpoint: JSON as text }], the newest first.
create or replace function mailer.list_checkpoints(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  return (
    select coalesce(json_agg(json_build_object('position', q.position, 'checkpoint', q.checkpoint)
      order by q.position desc), '[]')
    from (
      select c.position, c.checkpoint from mailer.checkpoints c
      where c.position < coalesce((v_args ->> 'before')::bigint, 9223372036854775807)
      order by c.position desc
      limit (v_args ->> 'limit')::integer offset (v_args ->> 'offset')::integer
    ) q
  )::text;
end
$$;

call mailer.offer('list_checkpoints', 'admin');
