-- count_pending: how many emails of an owner are pending as readers are told it: what is claimed is
-- pending until its fence.
create or replace function mailer.count_pending(p_owner text) returns bigint
language sql stable set search_path = ''
as $$ select (mailer.email_counts_of(p_owner) ->> 'pending')::bigint $$;

grant execute on function mailer.count_pending(text) to mailer_owner;
