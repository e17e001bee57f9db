-- restored_report: what a restored or copied database may send again. args { count_max };
-- answer null when sending is not paused for that reason, else { noticed_at; knows_until: the moment up
--   to which the database knows what was sent; count: emails due between then and now, of each region
--   up to count_max; first_id, first_due_at, last_due_at: of them, null when there are none }.
create or replace function mailer.restored_report(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_count_max integer := (args::jsonb ->> 'count_max')::integer;
  v_restored jsonb := (select s.value::jsonb from mailer.settings s where s.name = 'restored');
begin
  if v_restored is null or not exists (select from mailer.pauses p where p.kind = 'database') then
    return 'null';
  end if;
  return (
    select json_build_object(
      'noticed_at', mailer.utc_text((v_restored ->> 'noticed_at')::timestamptz),
      'knows_until', mailer.utc_text((v_restored ->> 'knows_until')::timestamptz),
      'count', count(*),
      'first_id', (array_agg(d.id order by d.next_attempt_at))[1],
      'first_due_at', mailer.utc_text(min(d.next_attempt_at)),
      'last_due_at', mailer.utc_text(max(d.next_attempt_at)))::text
    from mailer.restored_due((v_restored ->> 'knows_until')::timestamptz, clock_timestamp(),
      v_count_max) d);
end
$$;

call mailer.offer('restored_report', 'admin', 'reconciler');
