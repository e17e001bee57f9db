-- forget_sessions: args { limit }; answer: how many sessions past their time were forgotten, the
-- longest first. None of them lets anybody in (find_session).
create or replace function mailer.forget_sessions(args text) returns text
language plpgsql set search_path = '' set jit = off
as $$
declare
  v_count integer;
begin
  delete from mailer.sessions s where s.hash = any (array(
    select o.hash from mailer.sessions o
    where o.expires_at <= now()
    order by o.expires_at limit (args::jsonb ->> 'limit')::integer));
  get diagnostics v_count = row_count;
  return v_count::text;
end
$$;

call mailer.offer('forget_sessions', 'maintenance');
