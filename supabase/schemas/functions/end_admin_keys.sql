-- end_admin_keys: an issuer says that an owner is no admin: the owner's keys that act as an admin and rest
-- on the role are revoked, and those that they have made.
-- args { owner_id, issued_at (of the token that says so), origin }; answer { ended: n }.
--
-- A token from before the key was made says nothing of it: clocks may differ by a minute. Each entry
-- of the journal names the reason.
create or replace function mailer.end_admin_keys(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_before timestamptz := (v_args ->> 'issued_at')::timestamptz - interval '1 minute';
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_ended uuid[];
begin
  v_ended := array(
    with recursive line as (
      select k.id from mailer.api_keys k
      where k.owner_id = v_args ->> 'owner_id' and k.rests_on_role and k.revoked_at is null
        and k.created_at < v_before
      union
      select k.id from line join mailer.api_keys k on k.made_by = line.id
    )
    select id from line);
  if cardinality(v_ended) = 0 then
    return '{"ended":0}';
  end if;
  v_ended := array(select k.id from mailer.api_keys k
    where k.id = any (v_ended) and k.revoked_at is null order by k.id for update);
  update mailer.api_keys k set revoked_at = v_now where k.id = any (v_ended);
  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, detail)
  select k.owner_id, mailer.claim_sub(), null, 'key.revoked',
    jsonb_build_object('key_id', k.id, 'name', k.name, 'reason', 'role_lost')
  from mailer.api_keys k where k.id = any (v_ended) order by k.id;
  return jsonb_build_object('ended', cardinality(v_ended))::text;
end
$$;

call mailer.offer('end_admin_keys', 'authenticator');
