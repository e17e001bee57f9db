-- record_action: what a person did to the program itself, beside what happened to an email.
-- args { action, detail: {}, origin | null }; answer {}.
-- The entry belongs to the acting admin: owner and actor are the claims' sub.
-- Guarantees: nobody writes an entry about an email this way; those come from the functions
-- that change one.
create or replace function mailer.record_action(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_action text := v_args ->> 'action';
begin
  if v_action is null or v_action !~ '^[a-z]+\.[a-z_]+$' or v_action like 'email.%' then
    raise exception using errcode = 'TM001', message = 'forbidden',
      detail = 'This action is not for record_action.';
  end if;
  perform mailer.write_entry(mailer.claim_sub(), v_action, coalesce(v_args -> 'detail', '{}'),
    v_args ->> 'origin');
  return '{}';
end
$$;

call mailer.offer('record_action', 'admin');
