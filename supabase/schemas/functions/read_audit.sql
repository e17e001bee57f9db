-- read_audit: sealed entries by what is asked of them, with their proof.
--
-- args { limit, offset, is_newest_first, and those of journal_where }
-- answer { entries: [entry_json] }, in order of position.
create or replace function mailer.read_audit(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_order text := case when (v_args ->> 'is_newest_first')::boolean then 'desc' else 'asc' end;
  v_entries jsonb;
begin
  execute format('select coalesce(jsonb_agg(mailer.entry_json(q.j, q.s)
    order by (q.s).position %1$s), ''[]'') from (select j, s from mailer.seals s
    join mailer.journal j on j.id = s.entry_id where %2$s
    order by s.position %1$s limit %3$s offset %4$s) q', v_order, mailer.journal_where(v_args),
    (v_args ->> 'limit')::integer, coalesce((v_args ->> 'offset')::integer, 0))
  into v_entries;
  return jsonb_build_object('entries', v_entries)::text;
end
$$;

call mailer.offer('read_audit', 'user', 'admin');
