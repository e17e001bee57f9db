-- recipients_json: the recipients of an email as readers are told them, by their position.
create or replace function mailer.recipients_json(id uuid) returns json
language sql stable
as $$
  select coalesce(json_agg(json_build_object('position', r.position, 'kind', r.kind,
    'address', r.address, 'status', r.status, 'smtp_code', r.smtp_code,
    'enhanced_code', r.enhanced_code, 'reply', r.reply) order by r.position), '[]')
  from mailer.recipients r where r.email_id = id
$$;

grant execute on function mailer.recipients_json(uuid) to mailer_owner;
