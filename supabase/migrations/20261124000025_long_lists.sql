-- Lists at any number of emails: what is counted, and what an offset passes over, is bounded.

-- list_emails: newest first by creation.
-- args: { ...the filter of mailer.filter_sql, limit, offset | null, total_max | null,
--         cursor: { created_at, id } | null, with_attempts }
-- answer: { emails: [...], total | null, next: { created_at, id } | null }
-- (total only with offset, and only up to total_max; created_at of a cursor is text with
-- microseconds).
create or replace function mailer.list_emails(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_where text;
  v_total_max bigint := v_args ->> 'total_max';
  v_total bigint;
  v_emails mailer.emails[];
  v_limit integer := (v_args ->> 'limit')::integer;
  v_last mailer.emails;
  v_has_more boolean;
begin
  v_where := mailer.filter_sql(v_args);

  if v_args ->> 'offset' is not null then
    execute format('select count(*) from (select from mailer.emails e where %s limit %L) q',
      v_where, v_total_max + 1) into v_total;
    v_total := nullif(least(v_total, v_total_max + 1), v_total_max + 1);
  end if;
  if v_args -> 'cursor' <> 'null' then
    v_where := v_where || format(' and (e.created_at, e.id) < (%L::timestamptz, %L::uuid)',
      v_args -> 'cursor' ->> 'created_at', v_args -> 'cursor' ->> 'id');
  end if;
  -- One more than asked for tells whether there is a next page.
  -- What an offset leaves out is passed over in the index alone.
  execute format('select array(select e from (select e.id from mailer.emails e where %s
    order by e.created_at desc, e.id desc limit %s offset %s) page
    join mailer.emails e on e.id = page.id order by e.created_at desc, e.id desc)', v_where,
    v_limit + 1, coalesce((v_args ->> 'offset')::integer, 0)) into v_emails;
  v_has_more := coalesce(array_length(v_emails, 1), 0) > v_limit;
  v_emails := v_emails[1:v_limit];
  v_last := v_emails[array_length(v_emails, 1)];

  return jsonb_build_object(
    'emails', (
      select coalesce(jsonb_agg(mailer.email_json(q.email) || jsonb_build_object(
        'recipients', mailer.recipients_json((q.email).id),
        'attempts', case when (v_args ->> 'with_attempts')::boolean
          then mailer.attempts_json((q.email).id) end) order by n), '[]')
      from generate_subscripts(v_emails, 1) n
      cross join lateral (select v_emails[n] as email) q),
    'total', v_total,
    'next', case when v_has_more then jsonb_build_object(
      'created_at', v_last.created_at::text, 'id', v_last.id) end)::text;
end
$$;

create or replace function mailer.schema_version(args text) returns text
language sql immutable
return '{"version":"20261124000025"}';
