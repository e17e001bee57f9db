-- claim_webhooks: endpoints that have something to deliver, given to one process for a while.
-- args { worker_id, limit, lease_ms };
-- answer { webhooks: [webhook_json and { secrets: [ciphertext], cursor, token, version,
--   known: [ids of rows of events beyond the cursor] }], enabled: how many are enabled }.
-- Guarantees: one process at a time delivers to an endpoint, as long as it renews its lease and
-- lives; the endpoint that waited longest comes first. While the database counts as restored or
-- copied none is given: what it has to tell was told by the database that it was made of.
create or replace function mailer.claim_webhooks(args text) returns text
language plpgsql set search_path = '' set jit = off
as $$
declare
  v_args jsonb := args;
  v_now timestamptz := clock_timestamp();
  v_newest bigint := mailer.newest_position();
  v_ids uuid[];
begin
  v_ids := array(
    select w.id from mailer.webhooks w
    where w.enabled and not exists (select from mailer.pauses p where p.kind = 'database')
      and (w.leased_until is null or w.leased_until < v_now
        -- Nobody waits for the lease of a process that has left, or that others found dead.
        or exists (select from mailer.workers d where d.id = w.worker_id
          and (d.stopped_at is not null or d.reaped_at is not null)))
      and (w.held_until is null or w.held_until <= v_now)
      and ((w.is_global and w.cursor < v_newest)
        or (not w.is_global and exists (select from mailer.seals s
          where s.owner_id = w.owner_id and s.position > w.cursor))
        or exists (select from mailer.webhook_deliveries d
          where d.webhook_id = w.id and d.next_try_at <= v_now))
    order by w.served_at nulls first
    limit (v_args ->> 'limit')::integer for update of w skip locked);
  update mailer.webhooks w set token = w.token + 1, worker_id = (v_args ->> 'worker_id')::uuid,
    served_at = v_now, leased_until = v_now + (v_args ->> 'lease_ms')::integer * interval '1 ms'
  where w.id = any (v_ids);
  return jsonb_build_object(
    'webhooks', (select coalesce(jsonb_agg(mailer.webhook_json(w) || jsonb_build_object(
        'secrets', to_jsonb(array_remove(array[w.secret,
          case when w.old_secret_until > v_now then w.old_secret end], null)),
        'cursor', w.cursor, 'token', w.token, 'version', w.version,
        'known', array(select d.id from mailer.webhook_deliveries d
          where d.webhook_id = w.id and d.position > w.cursor)) order by w.id), '[]')
      from mailer.webhooks w where w.id = any (v_ids)),
    'enabled', (select count(*) from mailer.webhooks w where w.enabled))::text;
end
$$;

call mailer.offer('claim_webhooks', 'webhooks');
