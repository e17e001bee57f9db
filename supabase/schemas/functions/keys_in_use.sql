-- keys_in_use: how many rows each key of the ring still opens, a part of the table at a time.
-- args { part: "emails" | "answers" | "webhooks", after | null, scan_max };
-- answer { counts: { <key id>: n }, last | null }; emails that were shredded count as "none".
create or replace function mailer.keys_in_use(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_scan integer := (v_args ->> 'scan_max')::integer;
  v_after jsonb := coalesce(nullif(v_args -> 'after', 'null'),
    '{"owner_id": "", "path": "", "key": ""}');
  v_names text[];
  v_last jsonb;
begin
  if v_args ->> 'part' = 'emails' then
    select array_agg(q.name), to_jsonb((array_agg(q.id order by q.id desc))[1])
    into v_names, v_last
    from (select e.id, coalesce(mailer.key_of(e.wrapped_key), 'none') as name
      from mailer.emails e
      where e.id > coalesce((v_args ->> 'after')::uuid, '00000000-0000-0000-0000-000000000000')
      order by e.id limit v_scan) q;
  elsif v_args ->> 'part' = 'webhooks' then
    -- What opens an endpoint's secrets and the answers of its receiver.
    select array_agg(q.name), to_jsonb((array_agg(q.id order by q.id desc))[1])
    into v_names, v_last
    from (select w.id, mailer.key_of(w.wrapped_key) as name from mailer.webhooks w
      where w.id > coalesce((v_args ->> 'after')::uuid, '00000000-0000-0000-0000-000000000000')
      order by w.id limit v_scan) q;
  else
    select array_agg(q.name), (array_agg(q.place order by q.owner_id desc, q.path desc,
      q.key desc))[1]
    into v_names, v_last
    from (select k.owner_id, k.path, k.key, mailer.key_of(k.response) as name,
        jsonb_build_object('owner_id', k.owner_id, 'path', k.path, 'key', k.key) as place
      from mailer.idempotency_keys k
      where (k.owner_id, k.path, k.key)
        > (v_after ->> 'owner_id', v_after ->> 'path', v_after ->> 'key')
      order by k.owner_id, k.path, k.key limit v_scan) q;
  end if;
  return jsonb_build_object(
    'counts', (select coalesce(jsonb_object_agg(q.name, q.n), '{}')
      from (select u.name, count(*) as n from unnest(v_names) u (name) group by u.name) q),
    'last', case when cardinality(v_names) = v_scan then v_last end)::text;
end
$$;

call mailer.offer('keys_in_use', 'keys');
