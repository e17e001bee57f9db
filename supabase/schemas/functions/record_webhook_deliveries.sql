-- record_webhook_deliveries: what became of tries, and how far the endpoint has got.
-- args { webhook_id, token, version, cursor, lease_ms (0: given back), failures, held_ms | null,
--   is_gone: bool, results: [{ id, position | null, type, email_id | null, sequence | null, outcome,
--   status_code | null, error | null, duration_ms, answer | null, retry_in_ms | null }] };
-- answer { is_ours: bool, is_changed: bool, disabled: reason | null }.
-- Guarantees: written once for the holder of the token, all of it or nothing. What a former holder
-- says is not written: it is delivered again, under the same id. An endpoint that said it is gone, or
-- where nothing succeeded in five days, is disabled, which the journal tells.
create or replace function mailer.record_webhook_deliveries(args text) returns text
language plpgsql set search_path = '' set jit = off
as $$
declare
  v_args jsonb := args;
  c_failing_max constant interval := '5 days';
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_failures integer := (v_args ->> 'failures')::integer;
  v_webhook mailer.webhooks;
  v_has_success boolean;
  v_since timestamptz;
  v_reason text;
begin
  select * into v_webhook from mailer.webhooks w
  where w.id = (v_args ->> 'webhook_id')::uuid for update;
  if v_webhook.id is null or v_webhook.token <> (v_args ->> 'token')::bigint then
    return '{"is_ours":false,"is_changed":true,"disabled":null}';
  end if;
  insert into mailer.webhook_deliveries as d (id, webhook_id, owner_id, position, type, email_id,
    sequence, outcome, tries, status_code, error, duration_ms, answer, created_at, last_try_at,
    next_try_at)
  select i.id, v_webhook.id, v_webhook.owner_id, i.position, i.type, i.email_id, i.sequence,
    i.outcome, 1, i.status_code, i.error, i.duration_ms, i.answer, v_now, v_now,
    case when i.outcome = 'pending' then v_now + i.retry_in_ms * interval '1 ms' end
  from jsonb_to_recordset(v_args -> 'results') as i (id text, position bigint, type text,
    email_id uuid, sequence integer, outcome text, status_code smallint, error text,
    duration_ms integer, answer text, retry_in_ms bigint)
  on conflict (id) do update set outcome = excluded.outcome, tries = d.tries + 1,
    status_code = excluded.status_code, error = excluded.error,
    duration_ms = excluded.duration_ms, answer = excluded.answer, last_try_at = v_now,
    next_try_at = excluded.next_try_at;

  v_has_success := exists (select from jsonb_array_elements(v_args -> 'results') r
    where r ->> 'outcome' = 'delivered');
  v_since := case when v_failures = 0 then null when v_has_success then v_now
    else coalesce(v_webhook.failing_since, v_now) end;
  v_reason := case when not v_webhook.enabled then null
    when (v_args ->> 'is_gone')::boolean then 'gone'
    when v_since < v_now - c_failing_max then 'failing' end;
  update mailer.webhooks w set
    cursor = greatest(w.cursor, (v_args ->> 'cursor')::bigint),
    leased_until = case when v_reason is null and (v_args ->> 'lease_ms')::integer > 0
      then v_now + (v_args ->> 'lease_ms')::integer * interval '1 ms' end,
    failures = v_failures, failing_since = v_since,
    held_until = v_now + (v_args ->> 'held_ms')::bigint * interval '1 ms',
    last_success_at = case when v_has_success then v_now else w.last_success_at end,
    enabled = w.enabled and v_reason is null,
    disabled_reason = coalesce(v_reason, w.disabled_reason),
    disabled_at = case when v_reason is null then w.disabled_at else v_now end
  where w.id = v_webhook.id;
  if v_reason is not null then
    perform mailer.write_entry(v_webhook.owner_id, 'webhook.disabled',
      jsonb_build_object('webhook_id', v_webhook.id, 'reason', v_reason));
  end if;
  return jsonb_build_object('is_ours', true,
    'is_changed', v_webhook.version <> (v_args ->> 'version')::integer, 'disabled', v_reason)::text;
end
$$;

call mailer.offer('record_webhook_deliveries', 'webhooks');
