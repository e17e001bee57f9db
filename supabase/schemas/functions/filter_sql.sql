-- filter_sql: the condition on mailer.emails e that a filter and the claims come to.
-- filter { owner, statuses: [], is_deferred, is_open, is_due, updated_after, tag, metadata: {},
--   address_index: text or [], scheduled_after, scheduled_before, ids: [], group, smtp_code,
--   failure_domain: text or [], last_bulk: { id, since } };
--   absent or null: any. With statuses is_deferred means those as well. is_open: not dismissed. is_due: as
--   queue_stats counts what waits, or what is delayed.
--   updated_after: the journal has an entry of the email since then. last_bulk: the email's newest
--   entry is that of this change of many, made after `since`. smtp_code is that of a recipient who
--   has not got the email. address_index and failure_domain may be lists: while keys are being
--   rotated a text has an index under each of them. statuses are those that readers are told; the condition names the stored state, which
--   partial indexes are found by.
create or replace function mailer.filter_sql(filter jsonb) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_where text := 'true';
  v_state text;
begin
  if mailer.claim_role() is distinct from 'admin' then
    v_where := v_where || format(' and e.owner_id = %L', mailer.claim_sub());
  end if;
  select v_where || coalesce(string_agg(format(' and ' || c.test, filter ->> c.name), ''), '')
  into v_where
  from (values
    ('owner', 'e.owner_id = %L'),
    ('tag', '%L = any (e.tags)'),
    ('scheduled_after', 'e.scheduled_at >= %L'),
    ('scheduled_before', 'e.scheduled_at < %L'),
    ('group', mailer.dead_group_sql() || ' = %L'),
    ('smtp_code', 'exists (select from mailer.recipients r where r.email_id = e.id
      and r.status in (''bounced'', ''deferred'') and r.smtp_code = %L)'),
    ('is_due', 'coalesce(case when e.next_attempt_at = e.returned_until
      then e.due_since else e.next_attempt_at end <= now(), false) = %L::boolean')
  ) c (name, test) where filter ->> c.name is not null;
  if filter -> 'statuses' <> 'null' then
    v_state := format('e.state = any (%L::text[])', array(
      select jsonb_array_elements_text(filter -> 'statuses')
      union select 'sending' where filter -> 'statuses' ? 'pending'));
    if (filter -> 'statuses' ? 'pending') <> (filter -> 'statuses' ? 'sending') then
      v_state := v_state || format(' and (e.state <> ''sending'' or e.fenced_at is %snull)',
        case when filter -> 'statuses' ? 'sending' then 'not ' else '' end);
    end if;
  end if;
  if (filter ->> 'is_deferred')::boolean then
    v_state := coalesce('(' || v_state || ') or ', '') || 'e.state in (''pending'', ''sending'')
      and (e.state = ''pending'' or e.fenced_at is null) and e.attempts > e.attempts_before';
  end if;
  if v_state is not null then
    v_where := v_where || format(' and (%s)', v_state);
  end if;
  if (filter ->> 'is_open')::boolean then
    v_where := v_where || ' and e.dismissed_at is null';
  end if;
  if filter ->> 'updated_after' is not null then
    v_where := v_where || format(' and e.id in (select j.email_id from mailer.journal j
      where j.at >= %L and j.sequence is not null%s)', filter ->> 'updated_after',
      case when mailer.claim_role() is distinct from 'admin'
        then format(' and j.owner_id = %L', mailer.claim_sub()) else '' end);
  end if;
  if filter -> 'metadata' <> 'null' then
    v_where := v_where || (select coalesce(string_agg(
      format(' and e.metadata ->> %L = %L', key, value), ''), '')
      from jsonb_each_text(filter -> 'metadata'));
  end if;
  if filter ->> 'address_index' is not null then
    v_where := v_where || format(' and exists (select from mailer.recipients r
      where r.email_id = e.id and r.owner_id = e.owner_id and r.address_index = any (%L::text[]))',
      mailer.texts_of(filter -> 'address_index'));
  end if;
  if filter -> 'last_bulk' <> 'null' then
    v_where := v_where || format(' and (e.id, e.sequence) in (
      select j.email_id, j.sequence from mailer.journal j
      where j.at >= %L and j.sequence is not null and j.detail ->> ''bulk'' = %L)',
      filter -> 'last_bulk' ->> 'since', filter -> 'last_bulk' ->> 'id');
  end if;
  if filter -> 'ids' <> 'null' then
    v_where := v_where || format(' and e.id = any (%L::uuid[])',
      array(select jsonb_array_elements_text(filter -> 'ids')));
  end if;
  if filter ->> 'failure_domain' is not null then
    v_where := v_where || format(' and e.failure_domain = any (%L::text[])',
      mailer.texts_of(filter -> 'failure_domain'));
  end if;
  return v_where;
end
$$;

grant execute on function mailer.filter_sql(jsonb) to mailer_owner;
