-- email_events: the timeline of one email. args { id };
-- answer: [event_json] in order, null when there is no such email. Not only what is sealed: position
-- is null for a moment.
create or replace function mailer.email_events(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_id uuid := (args::jsonb ->> 'id')::uuid;
  v_email mailer.emails;
begin
  select * into v_email from mailer.emails e where e.id = v_id;
  if v_email.id is null or not mailer.may_see(v_email.owner_id) then
    return 'null';
  end if;
  return (
    select coalesce(jsonb_agg(mailer.event_json(j, s.position, v_email) order by j.sequence), '[]')
    from mailer.journal j left join mailer.seals s on s.entry_id = j.id
    where j.email_id = v_id and j.sequence is not null)::text;
end
$$;

call mailer.offer('email_events', 'user', 'admin');
