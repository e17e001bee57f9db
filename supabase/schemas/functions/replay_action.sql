-- replay_action: what the journal calls it when replay_row takes an email out of this state.
create or replace function mailer.replay_action(from_state text) returns text
language sql immutable
as $$ select case from_state when 'held' then 'email.released' else 'email.replayed' end $$;

grant execute on function mailer.replay_action(text) to mailer_owner;
