-- offer: lets claims of these roles, and of no other, call a function through call_as. One that a user
-- may call runs as mailer_owner then.
create or replace procedure mailer.offer(p_function text, variadic p_roles text[])
language plpgsql set search_path = ''
as $$
begin
  insert into mailer.functions (name, roles) values (p_function, p_roles)
  on conflict (name) do update set roles = excluded.roles;
  execute format(case when 'user' = any (p_roles)
    then 'grant execute on function mailer.%I(text) to mailer_owner'
    else 'revoke execute on function mailer.%I(text) from mailer_owner' end, p_function);
end
$$;
