-- check_edge: the legal edges of an email's states, which hold for everybody, also at a SQL
-- console. What changes with every email is judged where the trigger's condition stands, at a
-- fraction of the cost of calling a function; every other edge is judged here.
create or replace function mailer.check_edge() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if tg_op = 'INSERT' then
    raise exception 'an email starts as pending or claimed, not as %', new.state
      using errcode = 'check_violation';
  end if;
  if (case old.state
    when 'pending' then new.state in ('sending', 'cancelled', 'expired', 'suppressed', 'held')
    when 'held' then new.state in ('pending', 'cancelled')
    when 'failed' then new.state = 'pending'
    when 'uncertain' then new.state = 'pending'
    when 'partially_sent' then new.state = 'pending'
    when 'sending' then new.state in ('pending', 'failed', 'partially_sent')
      or (old.fenced_at is not null and new.state in ('sent', 'uncertain'))
      or (old.fenced_at is null and new.state in ('cancelled', 'expired', 'suppressed', 'held'))
    else false
  end) then
    return new;
  end if;
  raise exception 'an email never goes from % (%) to %', old.state,
    case when old.fenced_at is null then 'not fenced' else 'fenced' end, new.state
    using errcode = 'check_violation';
end
$$;
