-- write_entry: journals one thing that the claims' sub did, or p_actor. It is the last write of whoever
-- calls it, but for another of these (lock_journal).
create or replace function mailer.write_entry(p_owner text, p_action text, p_detail jsonb,
  p_origin text default null, p_email uuid default null, p_sequence integer default null,
  p_actor text default mailer.claim_sub()) returns void
language plpgsql set search_path = ''
as $$
begin
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  values (p_owner, p_actor, p_origin, p_action, p_email, p_sequence, p_detail);
end
$$;

grant execute on function mailer.write_entry(text, text, jsonb, text, uuid, integer, text)
  to mailer_owner;
