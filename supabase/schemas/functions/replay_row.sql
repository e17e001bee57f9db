-- replay_row: sends one email again to those who have not got it, or releases it when it is
-- held. For the functions that do so; not to be called through call_as.
--
-- v_email     the row, locked, in state failed, uncertain, partially_sent or held
-- v_due       when, in whole milliseconds
-- v_is_asked  v_due is what a person asked for and becomes scheduled_at; else that stays
-- v_is_edited the content was edited; else an attempt that was uncertain is repeated to the
--             byte, its Date included
-- answer: the row as it is now, or a row of nulls when nobody is left to send to; then
-- nothing was changed. The caller writes the journal: action mailer.replay_action, sequence of
-- the answer.
--
-- Guarantees: attempts stay in the record; after a replay max_retries and max_age count anew;
-- a person's word lifts an expires_at that would have passed by v_due, and max_lateness counts
-- from v_due; a worker's crashes are forgiven. An email whose content was destroyed is not sent
-- again: raises not_found.
create or replace function mailer.replay_row(v_email mailer.emails, v_due timestamptz,
  v_is_asked boolean, v_is_edited boolean)
returns mailer.emails
language plpgsql set search_path = ''
as $$
declare
  v_was_held boolean := v_email.state = 'held';
  v_row mailer.emails;
begin
  if v_email.wrapped_key is null then
    raise exception using errcode = 'TM001', message = 'not_found',
      detail = 'The content of this email was destroyed.';
  end if;
  if not exists (select from mailer.recipients r where r.email_id = v_email.id
    and (r.status in ('pending', 'deferred') or r.status = 'bounced' and not v_was_held)) then
    return null;
  end if;
  if not v_was_held then
    update mailer.recipients r set status = 'pending'
    where r.email_id = v_email.id and r.status in ('deferred', 'bounced');
  end if;
  update mailer.emails e set state = 'pending', version = e.version + 1, scheduled_at = case when v_is_asked then v_due else e.scheduled_at end,
    next_attempt_at = v_due,
    age_from = v_due,
    expires_at = coalesce(mailer.expiry_of(v_due, e.max_lateness_seconds),
      case when e.expires_at > v_due then e.expires_at end),
    attempts_before = case when v_was_held then e.attempts_before else e.attempts end,
    crashes = 0,
    message_date = case when not v_is_edited then coalesce(e.message_date, (
      select a.message_date from mailer.attempts a
      where a.email_id = e.id and a.outcome = 'uncertain'
      order by a.number desc limit 1)) end,
    sequence = e.sequence + 1
  where e.id = v_email.id
  returning * into v_row;
  return v_row;
end
$$;

grant execute on function mailer.replay_row(mailer.emails, timestamptz, boolean, boolean) to mailer_owner;
