-- replay_webhook_events: events that are to be delivered again, or for the first time.
-- args { webhook_id, deliveries: [{ id, position, type, email_id, sequence }], first_in_ms,
-- every_ms, origin | null, is_last: bool };
-- answer { kind: "replayed", count } | { kind: "not_found" }.
-- Guarantees: under the same id as before, with its tries counted anew, one every `every_ms`.
create or replace function mailer.replay_webhook_events(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_webhook mailer.webhooks;
  v_count integer;
begin
  select * into v_webhook from mailer.webhooks w where w.id = (v_args ->> 'webhook_id')::uuid;
  if v_webhook.id is null or not mailer.may_see(v_webhook.owner_id)
    or (v_webhook.is_global and mailer.claim_role() <> 'admin') then
    return '{"kind":"not_found"}';
  end if;
  insert into mailer.webhook_deliveries as d (id, webhook_id, owner_id, position, type, email_id,
    sequence, outcome, tries, created_at, next_try_at)
  select i.id, v_webhook.id, v_webhook.owner_id, i.position, i.type, i.email_id, i.sequence,
    'pending', 0, v_now, v_now + ((v_args ->> 'first_in_ms')::double precision
      + (i.n - 1) * (v_args ->> 'every_ms')::double precision) * interval '1 ms'
  from rows from (jsonb_to_recordset(v_args -> 'deliveries') as (id text, position bigint,
    type text, email_id uuid, sequence integer)) with ordinality
    as i (id, position, type, email_id, sequence, n)
  order by i.id
  on conflict (id) do update set outcome = 'pending', tries = 0,
    next_try_at = excluded.next_try_at
  where d.webhook_id = excluded.webhook_id;
  get diagnostics v_count = row_count;
  if (v_args ->> 'is_last')::boolean then
    perform mailer.write_entry(v_webhook.owner_id, 'webhook.replayed',
      jsonb_build_object('webhook_id', v_webhook.id), v_args ->> 'origin');
  end if;
  return jsonb_build_object('kind', 'replayed', 'count', v_count)::text;
end
$$;

call mailer.offer('replay_webhook_events', 'user', 'admin');
