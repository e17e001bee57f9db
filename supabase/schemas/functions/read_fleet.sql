-- read_fleet: the living processes, and what each said of itself last. args {};
-- answer [{ id, region, role, state | null }].
create or replace function mailer.read_fleet(args text) returns text
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object('id', w.id, 'region', w.region, 'role', w.role,
    'state', w.state) order by w.region, w.started_at), '[]')::text
  from mailer.workers w
  where mailer.is_living(w, interval '5 seconds')
$$;

call mailer.offer('read_fleet', 'metrics');
