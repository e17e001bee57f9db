-- api_key_json: an API key as its owner may see it: never its hash.
create or replace function mailer.api_key_json(k mailer.api_keys) returns jsonb
language sql stable
as $$
  select jsonb_build_object('id', k.id, 'owner_id', k.owner_id, 'name', k.name,
    'prefix', k.prefix, 'scopes', k.scopes, 'created_at', k.created_at,
    'expires_at', k.expires_at, 'last_used_at', k.last_used_at, 'revoked_at', k.revoked_at, 'made_by', k.made_by)
$$;

grant execute on function mailer.api_key_json(mailer.api_keys) to mailer_owner;
