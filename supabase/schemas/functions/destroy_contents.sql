-- destroy_contents: destroys the content of these emails, which the caller has locked: the data key,
-- the ciphertexts, the blind index of every address and what a failure was grouped by.
create or replace function mailer.destroy_contents(p_ids uuid[]) returns void
language plpgsql set search_path = ''
as $$
begin
  update mailer.contents c set message = null, details = null where c.email_id = any (p_ids);
  update mailer.recipients r set address = null, address_index = null, reply = null
  where r.email_id = any (p_ids);
  update mailer.attempts a set reply = null where a.email_id = any (p_ids) and a.reply is not null;
  update mailer.emails e set wrapped_key = null, sender = null, subject = null,
    failure_group = null, failure_domain = null
  where e.id = any (p_ids);
end
$$;

grant execute on function mailer.destroy_contents(uuid[]) to mailer_owner;
