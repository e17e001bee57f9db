-- list_api_keys: newest first by creation, revoked ones too.
-- args { id | null, owner_id | absent (whose; only an admin sees somebody else's), limit,
--   offset | null, cursor: { created_at, id } | null };
-- answer { keys: [], total | null, next: { created_at, id } | null } (total only with offset;
-- created_at of a cursor is text with microseconds). Never a hash.
create or replace function mailer.list_api_keys(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := mailer.whose(v_args ->> 'owner_id');
  v_id uuid := (v_args ->> 'id')::uuid;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_from jsonb := nullif(v_args -> 'cursor', 'null');
  v_rows jsonb[];
begin
  v_rows := array(
    select mailer.api_key_json(k) from mailer.api_keys k
    where (v_owner is null or k.owner_id = v_owner) and (v_id is null or k.id = v_id)
      and (v_from is null or (k.created_at, k.id)
        < ((v_from ->> 'created_at')::timestamptz, (v_from ->> 'id')::uuid))
    order by k.created_at desc, k.id desc
    limit v_limit + 1 offset coalesce((v_args ->> 'offset')::integer, 0));
  return (mailer.page_json('keys', v_rows, v_limit) || jsonb_build_object(
    'total', case when v_args ->> 'offset' is not null then (
      select count(*) from mailer.api_keys k where v_owner is null or k.owner_id = v_owner) end))::text;
end
$$;

call mailer.offer('list_api_keys', 'user', 'admin');
