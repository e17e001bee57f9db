-- close_functions: takes every new function from public and gives it to mailer_service. PostgreSQL
-- grants whatever is made to public; default privileges revoke that only for all schemas of a database
-- together, and where somebody has done so a new function is nobody's. Each migration ends with this, in the
-- transaction that made its functions.
create or replace procedure mailer.close_functions()
language plpgsql set search_path = ''
as $$
declare
  v_function record;
begin
  for v_function in
    select p.oid::regprocedure as signature from pg_catalog.pg_proc p
    where p.pronamespace = 'mailer'::regnamespace
      and (has_function_privilege('public', p.oid, 'execute')
        or not has_function_privilege('mailer_service', p.oid, 'execute'))
  loop
    execute format('revoke execute on routine %s from public', v_function.signature);
    execute format('grant execute on routine %s to mailer_service', v_function.signature);
  end loop;
end
$$;
