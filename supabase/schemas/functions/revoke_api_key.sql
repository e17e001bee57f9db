-- revoke_api_key: args { id, origin }; answer { kind: "revoked", key } | { kind: "not_found" }.
-- Revoking a revoked one changes nothing and leaves no entry. Those it has made end with it.
create or replace function mailer.revoke_api_key(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_key mailer.api_keys;
  v_now timestamptz;
  v_ended uuid[];
begin
  select * into v_key from mailer.api_keys k where k.id = (v_args ->> 'id')::uuid for update;
  if v_key.id is null or not mailer.may_see(v_key.owner_id) then
    return '{"kind":"not_found"}';
  end if;
  if v_key.revoked_at is null then
    v_now := date_trunc('milliseconds', clock_timestamp());
    v_ended := array(
      with recursive line as (
        select v_key.id
        union
        select k.id from line join mailer.api_keys k on k.made_by = line.id
      )
      select id from line);
    v_ended := array(select k.id from mailer.api_keys k
      where k.id = any (v_ended) and k.revoked_at is null order by k.id for update);
    update mailer.api_keys k set revoked_at = v_now where k.id = any (v_ended);
    v_key.revoked_at := v_now;
    perform mailer.lock_journal();
    insert into mailer.journal (owner_id, actor, origin, action, detail)
    select k.owner_id, mailer.claim_sub(), v_args ->> 'origin', 'key.revoked',
      jsonb_build_object('key_id', k.id, 'name', k.name)
    from mailer.api_keys k where k.id = any (v_ended) order by k.id <> v_key.id, k.id;
  end if;
  return jsonb_build_object('kind', 'revoked', 'key', mailer.api_key_json(v_key))::text;
end
$$;

call mailer.offer('revoke_api_key', 'user', 'admin');
