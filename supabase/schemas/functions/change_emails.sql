-- change_emails: a person cancels, holds, releases, reschedules or dismisses many emails.
--
-- args { change: "cancel" | "hold" | "release" | "reschedule" | "dismiss", ids, bulk | null, origin,
--        scheduled_at or shift_seconds (reschedule), reason | null (dismiss) }
-- answer { changed }
--
-- Guarantees: to each the same happens as when it is changed alone, under its own lock and in id
-- order; what may not be changed by now, or is not the caller's, is left alone. A reschedule leaves
-- alone what would be due more than 60 s ago or after its fixed end.
create or replace function mailer.change_emails(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_change text := v_args ->> 'change';
  v_condition text := mailer.bulk_condition(v_args);
  v_due text := mailer.bulk_due(v_args);
  v_ids uuid[];
  v_rows jsonb;
begin
  v_ids := array(
    select e.id from mailer.emails e
    where e.id = any (array(select jsonb_array_elements_text(v_args -> 'ids')::uuid))
      and mailer.may_see(e.owner_id)
    order by e.id for update);
  -- Statements of their own: they see what was committed while the locks were waited for.
  if v_change = 'release' then
    execute format('select array(select e.id from mailer.emails e where e.id = any ($1) and %s)',
      v_condition) using v_ids into v_ids;
    return jsonb_build_object('changed', (mailer.replay_emails(jsonb_build_object('ids', v_ids,
      'first', 0, 'bulk', v_args -> 'bulk', 'origin', v_args -> 'origin')::text)::jsonb)
      -> 'replayed')::text;
  end if;
  execute format($sql$
    with moved as (
      update mailer.emails e set version = e.version + 1, sequence = e.sequence + 1, %s
      where e.id = any ($1) and %s
      returning e.id, e.owner_id, e.sequence, e.version, e.state, e.scheduled_at
    )
    select coalesce(jsonb_agg(to_jsonb(m) order by m.id), '[]') from moved m$sql$,
    case v_change
      when 'cancel' then 'state = ''cancelled'', worker_id = null'
      when 'hold' then 'state = ''held'''
      when 'dismiss' then 'dismissed_at = date_trunc(''milliseconds'', clock_timestamp())'
      when 'reschedule' then format('scheduled_at = %1$s, next_attempt_at = %1$s, age_from = %1$s,
        expires_at = coalesce(mailer.expiry_of(%1$s, e.max_lateness_seconds), e.expires_at)', v_due)
    end, v_condition) using v_ids into v_rows;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), v_args ->> 'origin',
    case v_change when 'cancel' then 'email.cancelled' when 'hold' then 'email.held'
      when 'dismiss' then 'email.dismissed' else 'email.rescheduled' end,
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    jsonb_build_object('status', r -> 'state')
      || case v_change
        when 'cancel' then '{}'
        when 'hold' then '{"reason": "by_person"}'
        when 'dismiss' then jsonb_build_object('reason', v_args -> 'reason')
        else jsonb_build_object('fields', '["scheduled_at"]'::jsonb,
          'scheduled_at', r -> 'scheduled_at', 'version', r -> 'version') end
      || case when v_args ->> 'bulk' is null then '{}'
        else jsonb_build_object('bulk', v_args -> 'bulk') end
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('changed', jsonb_array_length(v_rows))::text;
end
$$;

call mailer.offer('change_emails', 'user', 'admin');
