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
  v_sub text := case when mailer.claim_role() <> 'admin' then mailer.claim_sub()
    else v_args ->> 'owner_id' end;
  v_id uuid := (v_args ->> 'id')::uuid;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_from jsonb := nullif(v_args -> 'cursor', 'null');
  v_keys mailer.api_keys[];
  v_last mailer.api_keys;
  v_has_more boolean;
begin
  -- One more than asked for tells whether there is a next page.
  v_keys := array(
    select k from mailer.api_keys k
    where (v_sub is null or k.owner_id = v_sub) and (v_id is null or k.id = v_id)
      and (v_from is null or (k.created_at, k.id)
        < ((v_from ->> 'created_at')::timestamptz, (v_from ->> 'id')::uuid))
    order by k.created_at desc, k.id desc
    limit v_limit + 1 offset coalesce((v_args ->> 'offset')::integer, 0));
  v_has_more := coalesce(array_length(v_keys, 1), 0) > v_limit;
  v_keys := v_keys[1:v_limit];
  v_last := v_keys[array_length(v_keys, 1)];
  return jsonb_build_object(
    'keys', (select coalesce(jsonb_agg(mailer.api_key_json(q.key) order by n), '[]')
      from generate_subscripts(v_keys, 1) n cross join lateral (select v_keys[n] as key) q),
    'total', case when v_args ->> 'offset' is not null then (
      select count(*) from mailer.api_keys k where v_sub is null or k.owner_id = v_sub) end,
    'next', case when v_has_more then jsonb_build_object(
      'created_at', v_last.created_at::text, 'id', v_last.id) end)::text;
end
$$;

call mailer.offer('list_api_keys', 'user', 'admin');
