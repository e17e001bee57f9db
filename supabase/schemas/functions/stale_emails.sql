-- stale_emails: emails whose data key another key than this one wraps, with all that a rotation
-- needs, in id order.
-- args { key_id, after | null, limit, scan_max };
-- answer { emails: [email_json and recipients, attempts, failure_group, failure_domain],
--   scanned, last | null } (last: go on after it; null: that was all).
-- Guarantees: looks at no more than scan_max rows, however many there are.
create or replace function mailer.stale_emails(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_limit integer := (v_args ->> 'limit')::integer;
  v_scan integer := (v_args ->> 'scan_max')::integer;
  v_scanned uuid[];
  v_stale uuid[];
  v_last uuid;
begin
  select coalesce(array_agg(q.id order by q.id), '{}'),
    coalesce(array_agg(q.id order by q.id) filter (where q.is_stale), '{}')
  into v_scanned, v_stale
  from (select e.id, mailer.key_of(e.wrapped_key) <> v_args ->> 'key_id' as is_stale
    from mailer.emails e
    where e.id > coalesce((v_args ->> 'after')::uuid, '00000000-0000-0000-0000-000000000000')
    order by e.id limit v_scan) q;
  if cardinality(v_stale) > v_limit then
    v_stale := v_stale[1:v_limit];
    v_last := v_stale[v_limit];
  elsif cardinality(v_scanned) = v_scan then
    v_last := v_scanned[v_scan];
  end if;
  return jsonb_build_object('last', v_last,
    'scanned', coalesce(array_position(v_scanned, v_last), cardinality(v_scanned)),
    'emails', (
      select coalesce(jsonb_agg(mailer.email_json(e) || jsonb_build_object(
        'recipients', mailer.recipients_json(e.id),
        'attempts', case when e.failure_group is null then '[]'::json
          else mailer.attempts_json(e.id) end,
        'failure_group', e.failure_group, 'failure_domain', e.failure_domain) order by e.id), '[]')
      from mailer.emails e where e.id = any (v_stale)))::text;
end
$$;

call mailer.offer('stale_emails', 'keys');
