-- note_verified: up to where the journal was verified by parts, and what was found there.
--
-- args { position: where the next part begins; 0: at the beginning again,
--   broken: { owner | null, number | null, position | null, reason } | null }; answer {}
--
-- Guarantees: that an entry is broken, and that it is sound again, is told once for all processes:
-- journal.broken and journal.sound.
create or replace function mailer.note_verified(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  insert into mailer.settings (name, value) values ('journal_verified_to', v_args ->> 'position')
  on conflict (name) do update set value = excluded.value;
  if jsonb_typeof(v_args -> 'broken') = 'object' then
    perform mailer.begin_incident('journal', '', 'chain', 'broken', v_args -> 'broken');
  else
    perform mailer.end_incident('journal', '', 'chain', 'sound', '{}');
  end if;
  return '{}';
end
$$;

call mailer.offer('note_verified', 'maintenance');
