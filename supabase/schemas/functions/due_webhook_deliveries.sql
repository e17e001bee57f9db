-- due_webhook_deliveries: rows of an endpoint whose next try is due, in the order of their events.
-- args { webhook_id, limit };
-- answer [{ id, type, tries, event: event_json | null (the journal has it no more) }].
create or replace function mailer.due_webhook_deliveries(args text) returns text
language plpgsql stable set search_path = '' set jit = off
as $$
declare
  v_args jsonb := args;
begin
  -- By its id, as a row counts as null already when one of its columns is: an entry that no request
  -- caused has no origin.
  return (
    select coalesce(jsonb_agg(jsonb_build_object('id', q.id, 'type', q.type, 'tries', q.tries,
      'event', case when (q.entry).id is not null then mailer.event_json(q.entry, q.place, q.email) end)
      order by q.place nulls first), '[]')
    from (
      select d.id, d.type, d.tries, d.position as place, j.entry, j.email
      from mailer.webhook_deliveries d left join lateral (
        select j as entry, (select e from mailer.emails e where e.id = j.email_id) as email
        from mailer.seals s join mailer.journal j on j.id = s.entry_id
        where s.position = d.position limit 1) j on true
      where d.webhook_id = (v_args ->> 'webhook_id')::uuid and d.next_try_at <= now()
      order by d.next_try_at limit (v_args ->> 'limit')::integer) q)::text;
end
$$;

call mailer.offer('due_webhook_deliveries', 'webhooks');
