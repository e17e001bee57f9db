-- count_change: what an entry of the journal changes in email_counts, as rows of counted, day, delta.
--
-- The state before is that of the email's entry before, which is asked for only where the action does
-- not tell it: what is sent, fails, expires or becomes uncertain was pending or being sent. Entries of
-- bounced recipients have the state of the entry that follows them, and entries without a sequence
-- change no state. No `set`: with one the body could not become part of the sealer's own statement.
create or replace function mailer.count_change(j mailer.journal)
returns table (counted text, day date, delta integer)
language sql stable
as $$
  with change as (
    select case when j.action in ('email.sent', 'email.failed', 'email.uncertain', 'email.expired')
        then 'pending'
      when j.action <> 'email.scheduled' then (
        select case p.detail ->> 'status' when 'sending' then 'pending'
          else p.detail ->> 'status' end
        from mailer.journal p where p.email_id = j.email_id and p.sequence = j.sequence - 1)
      end as before,
      case j.detail ->> 'status' when 'sending' then 'pending' else j.detail ->> 'status' end as after
    where j.sequence is not null and j.action in ('email.scheduled', 'email.sent', 'email.failed',
      'email.uncertain', 'email.expired', 'email.cancelled', 'email.held', 'email.released',
      'email.replayed', 'email.suppressed')
  )
  select c.after, date '-infinity', 1 from change c where c.after is distinct from c.before
  union all
  select c.before, date '-infinity', -1 from change c where c.before <> c.after
  union all
  select 'accepted', (j.at at time zone 'UTC')::date, 1 where j.action = 'email.scheduled'
$$;

grant execute on function mailer.count_change(mailer.journal) to mailer_owner;
