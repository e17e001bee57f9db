-- change_refusal: why an email cannot be changed, as the code of a 409; null: it can. is_content:
-- what is sent, or to whom, or whether at all, would change, which is too late once somebody has it or
-- may have it. A claim without a fence refuses nothing.
create or replace function mailer.change_refusal(v_email mailer.emails, is_content boolean) returns text
language sql stable
as $$
  select case
    when v_email.state = 'sending' and v_email.fenced_at is not null then 'in_flight'
    when v_email.state in ('sent', 'partially_sent') then 'already_sent'
    when v_email.state = 'uncertain' then 'outcome_uncertain'
    when v_email.state not in ('pending', 'held', 'sending') then 'already_' || v_email.state
    when is_content and exists (select from mailer.recipients r
      where r.email_id = v_email.id and r.status = 'sent') then 'already_sent'
    when is_content and exists (select from mailer.attempts a
      where a.email_id = v_email.id and a.outcome = 'uncertain') then 'outcome_uncertain'
  end
$$;

grant execute on function mailer.change_refusal(mailer.emails, boolean) to mailer_owner;
