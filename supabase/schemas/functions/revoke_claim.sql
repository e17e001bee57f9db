-- revoke_claim: every change that a person makes raises the version. One made before the fence
-- revokes the claim: the worker's token is stale from then on, so the fence refuses and no message
-- is sent as it was.
create or replace function mailer.revoke_claim() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.claim_token := old.claim_token + 1;
  new.worker_id := null;
  if new.state = 'sending' then
    new.state := 'pending';
  end if;
  return new;
end
$$;

grant execute on function mailer.revoke_claim() to mailer_owner;
