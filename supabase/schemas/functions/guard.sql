-- guard: puts a new table behind row-level security, which holds for its owner as well. p_service is
-- what mailer_service may do with every row; p_owner what mailer_owner may do with rows whose owner_id
-- is the claims' sub, null: nothing. Nobody else has any right to it.
create or replace procedure mailer.guard(p_table text, p_service text, p_owner text default null)
language plpgsql set search_path = ''
as $$
begin
  execute format('alter table mailer.%I enable row level security, force row level security', p_table);
  execute format('revoke all on mailer.%I from public', p_table);
  execute format('create policy service_rows on mailer.%I to mailer_service using (true)', p_table);
  execute format('grant %s on mailer.%I to mailer_service', p_service, p_table);
  if p_owner is not null then
    execute format('create policy own_rows on mailer.%I to mailer_owner
      using (owner_id = (select mailer.claim_sub()))', p_table);
    execute format('grant %s on mailer.%I to mailer_owner', p_owner, p_table);
  end if;
end
$$;
