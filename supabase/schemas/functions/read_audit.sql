-- read_audit: sealed entries by what is asked of them, with their proof.
--
-- args { limit, offset, is_newest_first, after | null, before | null (positions, both exclusive),
--        owner_id | null, email_id | null, action | null, actor | null,
--        at_from | null (inclusive), at_to | null (exclusive) }
-- answer { entries: [as read_journal gives them, with canonical and hash] }, in order of position.
--
-- Guarantees: a user gets its own entries, whatever is asked for.
create or replace function mailer.read_audit(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_owner text := v_args ->> 'owner_id';
  v_order text := case when (v_args ->> 'is_newest_first')::boolean then 'desc' else 'asc' end;
  v_where text := 'true';
  v_entries jsonb;
begin
  if mailer.claim_role() is distinct from 'admin' then
    v_owner := mailer.claim_sub();
  end if;
  if v_owner is not null then
    v_where := v_where || format(' and s.owner_id = %L', v_owner);
  end if;
  if v_args ->> 'after' is not null then
    v_where := v_where || format(' and s.position > %s', (v_args ->> 'after')::bigint);
  end if;
  if v_args ->> 'before' is not null then
    v_where := v_where || format(' and s.position < %s', (v_args ->> 'before')::bigint);
  end if;
  if v_args ->> 'email_id' is not null then
    v_where := v_where || format(' and j.email_id = %L::uuid', v_args ->> 'email_id');
  end if;
  if v_args ->> 'action' is not null then
    v_where := v_where || format(' and j.action = %L', v_args ->> 'action');
  end if;
  if v_args ->> 'actor' is not null then
    v_where := v_where || format(' and j.actor = %L', v_args ->> 'actor');
  end if;
  if v_args ->> 'at_from' is not null then
    v_where := v_where || format(' and j.at >= %L::timestamptz', v_args ->> 'at_from');
  end if;
  if v_args ->> 'at_to' is not null then
    v_where := v_where || format(' and j.at < %L::timestamptz', v_args ->> 'at_to');
  end if;
  execute format('select coalesce(jsonb_agg(mailer.entry_json(q.j, q.s, true)
    order by (q.s).position %1$s), ''[]'') from (select j, s from mailer.seals s
    join mailer.journal j on j.id = s.entry_id where %2$s
    order by s.position %1$s limit %3$s offset %4$s) q', v_order, v_where, (v_args ->> 'limit')::integer,
    coalesce((v_args ->> 'offset')::integer, 0))
  into v_entries;
  return jsonb_build_object('entries', v_entries)::text;
end
$$;

call mailer.offer('read_audit', 'user', 'admin');
