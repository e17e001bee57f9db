-- stale_wall_clocks: emails that wait for a local time, which zone data of these versions resolved.
-- args { zone_data: [version], limit }; answer [{ id, version, wall_clock }].
-- Guarantees: none whose attempt is fenced, since its time has come.
create or replace function mailer.stale_wall_clocks(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_versions text[] := array(select jsonb_array_elements_text(v_args -> 'zone_data'));
begin
  return (
    select coalesce(json_agg(json_build_object('id', q.id, 'version', q.version,
      'wall_clock', q.wall_clock)), '[]')
    from (select e.id, e.version, e.wall_clock from mailer.emails e
      where e.wall_clock is not null and e.state in ('pending', 'held', 'sending')
        and coalesce(e.wall_clock ->> 'zone_data', '') = any (v_versions)
        and e.fenced_at is null
      limit (v_args ->> 'limit')::integer) q)::text;
end
$$;

call mailer.offer('stale_wall_clocks', 'reconciler');
