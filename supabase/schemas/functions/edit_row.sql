-- edit_row: writes the fields of an edit but for scheduled_at. For the functions that change an
-- email; not to be called through call_as.
--
-- v_change, each only when it changes: { max_retries, max_age_seconds, on_uncertain, tags,
--   metadata, lateness: { expires_at | null, max_lateness_seconds | null, on_late },
--   content: { sender, subject, message_bytes, message_line, details_line },
--   recipients: [{ position, kind, address, address_index, is_new }] }
-- v_lines: ciphertext of message and details, as with accept_emails.
--
-- Guarantees: recipients that are not named any more go, but for those who have got it; who is
-- named and not new keeps what is known of it. Raises invalid_content when nobody is left to
-- send to.
create or replace function mailer.edit_row(v_email mailer.emails, v_change jsonb, v_lines text[])
returns void
language plpgsql set search_path = ''
as $$
declare
  v_late jsonb := v_change -> 'lateness';
  v_content jsonb := v_change -> 'content';
  v_named jsonb := v_change -> 'recipients';
begin
  update mailer.emails e set
    max_retries = coalesce((v_change ->> 'max_retries')::smallint, e.max_retries),
    max_age_seconds = coalesce((v_change ->> 'max_age_seconds')::integer, e.max_age_seconds),
    on_uncertain = coalesce(v_change ->> 'on_uncertain', e.on_uncertain),
    on_late = coalesce(v_late ->> 'on_late', e.on_late),
    max_lateness_seconds = case when v_late is null then e.max_lateness_seconds
      else (v_late ->> 'max_lateness_seconds')::integer end,
    expires_at = case when v_late is null then e.expires_at
      else (v_late ->> 'expires_at')::timestamptz end,
    tags = case when v_change ? 'tags'
      then array(select jsonb_array_elements_text(v_change -> 'tags')) else e.tags end,
    metadata = coalesce(v_change -> 'metadata', e.metadata),
    wall_clock = coalesce(v_change -> 'wall_clock', e.wall_clock),
    sender = coalesce(v_content ->> 'sender', e.sender),
    subject = coalesce(v_content ->> 'subject', e.subject),
    message_bytes = coalesce((v_content ->> 'message_bytes')::integer, e.message_bytes)
  where e.id = v_email.id;
  if v_content is not null then
    update mailer.contents c set
      message = decode(v_lines[(v_content ->> 'message_line')::integer], 'base64'),
      details = v_lines[(v_content ->> 'details_line')::integer]
    where c.email_id = v_email.id;
  end if;
  if v_named is null then
    return;
  end if;

  delete from mailer.recipients r
  where r.email_id = v_email.id and r.status <> 'sent' and not exists (
    select from jsonb_to_recordset(v_named) as n (position smallint, is_new boolean)
    where n.position = r.position and not n.is_new);
  update mailer.recipients r set kind = n.kind, address = n.address,
    address_index = n.address_index
  from jsonb_to_recordset(v_named) as n (position smallint, kind text, address text,
    address_index text, is_new boolean)
  where r.email_id = v_email.id and r.position = n.position and not n.is_new
    and r.status <> 'sent';
  insert into mailer.recipients (email_id, position, owner_id, kind, address, address_index)
  select v_email.id, n.position, v_email.owner_id, n.kind, n.address, n.address_index
  from jsonb_to_recordset(v_named) as n (position smallint, kind text, address text,
    address_index text, is_new boolean)
  where n.is_new;
  if not exists (select from mailer.recipients r where r.email_id = v_email.id
    and (r.status in ('pending', 'deferred') or r.status = 'bounced'
      and mailer.shown_state(v_email.state, v_email.fenced_at) not in ('pending', 'held'))) then
    raise exception using errcode = 'TM001', message = 'invalid_content',
      detail = 'Nobody of these recipients is left to send to: each has got it or was refused.';
  end if;
end
$$;

grant execute on function mailer.edit_row(mailer.emails, jsonb, text[]) to mailer_owner;
