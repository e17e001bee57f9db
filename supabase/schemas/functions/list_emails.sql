-- list_emails: emails in the order of their creation, the newest first, or of their due time. Those
-- of all owners go by their ids, which are UUIDv7, in place of created_at.
-- args: { ...the filter of mailer.filter_sql, limit, offset | null, total_max | null,
--         sort: "scheduled_at" | absent, is_before: true | absent, with_attempts,
--         cursor: { created_at | null, id } | null }
-- answer: { emails: [...], total | null, next: { created_at, id } | null }
-- (total only with offset, and only up to total_max). created_at of a cursor is the instant that is
-- sorted by, as text with microseconds; null: that of the email with this id. is_before: the page
-- that ends before the cursor, in the same order; next is then its first email's place.
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
  v_is_before boolean := coalesce((v_args ->> 'is_before')::boolean, false);
  v_key text := case when v_args ->> 'sort' = 'scheduled_at' then 'scheduled_at'
    when mailer.claim_role() = 'user' or v_args ->> 'owner' is not null then 'created_at' end;
  v_is_rising boolean := (v_key is not distinct from 'scheduled_at') <> v_is_before;
  v_order text;
  v_last mailer.emails;
  v_has_more boolean;
begin
  v_where := mailer.filter_sql(v_args);

  if v_args ->> 'offset' is not null then
    execute format('select count(*) from (select from mailer.emails e where %s limit %L) q',
      v_where, v_total_max + 1) into v_total;
    v_total := nullif(least(v_total, v_total_max + 1), v_total_max + 1);
  end if;
  if v_args -> 'cursor' <> 'null' and v_key is null then
    v_where := v_where || format(' and e.id %s %L::uuid',
      case when v_is_rising then '>' else '<' end, v_args -> 'cursor' ->> 'id');
  elsif v_args -> 'cursor' <> 'null' then
    v_where := v_where || format(' and (e.%1$I, e.id) %2$s (coalesce(%3$L::timestamptz,
      (select c.%1$I from mailer.emails c where c.id = %4$L::uuid)), %4$L::uuid)', v_key,
      case when v_is_rising then '>' else '<' end,
      v_args -> 'cursor' ->> 'created_at', v_args -> 'cursor' ->> 'id');
  end if;
  v_order := format(case when v_key is null then 'e.id %2$s' else 'e.%1$I %2$s, e.id %2$s' end,
    v_key, case when v_is_rising then 'asc' else 'desc' end);
  -- One more than asked for tells whether there is a next page.
  -- What an offset leaves out is passed over in the index alone.
  execute format('select array(select e from (select e.id from mailer.emails e where %s
    order by %s limit %s offset %s) page
    join mailer.emails e on e.id = page.id order by %s)', v_where, v_order,
    v_limit + 1, coalesce((v_args ->> 'offset')::integer, 0), v_order) into v_emails;
  v_has_more := coalesce(array_length(v_emails, 1), 0) > v_limit;
  v_emails := v_emails[1:v_limit];
  v_last := v_emails[array_length(v_emails, 1)];

  return jsonb_build_object(
    'emails', (
      select coalesce(jsonb_agg(mailer.email_json(q.email) || jsonb_build_object(
        'recipients', mailer.recipients_json((q.email).id),
        'attempts', case when (v_args ->> 'with_attempts')::boolean
          then mailer.attempts_json((q.email).id) end)
        order by case when v_is_before then -n else n end), '[]')
      from generate_subscripts(v_emails, 1) n
      cross join lateral (select v_emails[n] as email) q),
    'total', v_total,
    'next', case when v_has_more then jsonb_build_object('created_at',
      case v_key when 'scheduled_at' then v_last.scheduled_at else v_last.created_at end::text,
      'id', v_last.id) end)::text;
end
$$;

call mailer.offer('list_emails', 'user', 'admin');
