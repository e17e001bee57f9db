-- bulk_condition: which emails e a change of many may touch, as an expression for dynamic SQL;
-- the same refusals as when one email is changed. args: those of find_changeable. What this very bulk
-- has rescheduled is not rescheduled again, so that a request whose answer was lost may be repeated.
create or replace function mailer.bulk_condition(args jsonb) returns text
language plpgsql stable set search_path = ''
as $$
declare
  c_changeable constant text := '(e.state in (''pending'', ''held'')
    or (e.state = ''sending'' and e.fenced_at is null))';
  v_due text;
begin
  case args ->> 'change'
  when 'cancel' then
    return c_changeable || ' and (e.attempts = 0 or not exists (select from mailer.recipients r
        where r.email_id = e.id and r.status = ''sent'')
      and not exists (select from mailer.attempts a
        where a.email_id = e.id and a.outcome = ''uncertain''))';
  when 'replay' then
    -- One whose key was destroyed can never be sent again.
    return 'e.state in (''failed'', ''uncertain'', ''held'', ''partially_sent'')
      and e.wrapped_key is not null';
  when 'hold' then
    return c_changeable || ' and e.state <> ''held''';
  when 'release' then
    return 'e.state = ''held'' and e.wrapped_key is not null and exists (
      select from mailer.recipients r
      where r.email_id = e.id and r.status in (''pending'', ''deferred''))';
  when 'dismiss' then
    return 'e.state in (''failed'', ''uncertain'', ''held'', ''partially_sent'')
      and e.dismissed_at is null';
  when 'reschedule' then
    v_due := mailer.bulk_due(args);
    return format('%s and %s > clock_timestamp() - interval ''60 s''
      and (e.max_lateness_seconds is not null or e.expires_at is null or e.expires_at > %s)
      and not exists (select from mailer.journal j where j.email_id = e.id
        and j.action = ''email.rescheduled'' and j.detail ->> ''bulk'' = %L
        and j.at > clock_timestamp() - interval ''2 days'')',
      c_changeable, v_due, v_due, args ->> 'bulk');
  end case;
end
$$;

grant execute on function mailer.bulk_condition(jsonb) to mailer_owner;
