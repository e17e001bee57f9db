-- end_maintenance: args { name, holder, result: {} }; answer {}. Of another one's turn nothing is written.
create or replace function mailer.end_maintenance(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  update mailer.maintenance m set ended_at = clock_timestamp(), leased_until = clock_timestamp(),
    result = v_args -> 'result'
  where m.name = v_args ->> 'name' and m.holder = (v_args ->> 'holder')::uuid and m.ended_at is null;
  return '{}';
end
$$;

call mailer.offer('end_maintenance', 'maintenance');
