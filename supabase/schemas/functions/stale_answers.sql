-- stale_answers: kept answers that another key than this one encrypted.
-- args { key_id, after: { owner_id, path, key } | null, limit, scan_max };
-- answer { answers: [{ owner_id, path, key, response }], scanned, last | null }, as stale_emails.
create or replace function mailer.stale_answers(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_scan integer := (v_args ->> 'scan_max')::integer;
  v_after jsonb := coalesce(nullif(v_args -> 'after', 'null'),
    '{"owner_id": "", "path": "", "key": ""}');
  v_scanned jsonb[];
  v_stale jsonb[];
  v_last jsonb;
begin
  select coalesce(array_agg(q.row order by q.n), '{}'),
    coalesce(array_agg(q.row order by q.n) filter (where q.is_stale), '{}')
  into v_scanned, v_stale
  from (select row_number() over () as n, s.* from (
    select jsonb_build_object('owner_id', k.owner_id, 'path', k.path, 'key', k.key,
        'response', k.response) as row,
      mailer.key_of(k.response) <> v_args ->> 'key_id' as is_stale
    from mailer.idempotency_keys k
    where (k.owner_id, k.path, k.key)
      > (v_after ->> 'owner_id', v_after ->> 'path', v_after ->> 'key')
    order by k.owner_id, k.path, k.key limit v_scan) s) q;
  if cardinality(v_stale) > v_limit then
    v_stale := v_stale[1:v_limit];
    v_last := v_stale[v_limit];
  elsif cardinality(v_scanned) = v_scan then
    v_last := v_scanned[v_scan];
  end if;
  return jsonb_build_object('last', v_last - 'response', 'answers', to_jsonb(v_stale),
    'scanned', coalesce(array_position(v_scanned, v_last), cardinality(v_scanned)))::text;
end
$$;

call mailer.offer('stale_answers', 'keys');
