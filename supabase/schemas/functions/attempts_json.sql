-- attempts_json: the attempts of an email as readers are told them, the first one first.
create or replace function mailer.attempts_json(id uuid) returns json
language sql stable
as $$
  select coalesce(json_agg(json_build_object('number', a.number, 'started_at', a.started_at,
    'ended_at', a.ended_at, 'outcome', a.outcome, 'smtp_code', a.smtp_code,
    'enhanced_code', a.enhanced_code, 'reply', a.reply, 'transport', a.transport,
    'region', a.region, 'message_date', a.message_date) order by a.number), '[]')
  from mailer.attempts a where a.email_id = id
$$;

grant execute on function mailer.attempts_json(uuid) to mailer_owner;
