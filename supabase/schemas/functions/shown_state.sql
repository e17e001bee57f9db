-- shown_state: an email's state as readers are told it.
create or replace function mailer.shown_state(state text, fenced_at timestamptz) returns text
language sql immutable
return case when state = 'sending' and fenced_at is null then 'pending' else state end;

grant execute on function mailer.shown_state(text, timestamptz) to mailer_owner;
