-- cancel_emails: cancel_email for many. args { ids, bulk, origin }; answer { cancelled }.
-- Guarantees: one compare-and-set per email, locked in id order: of those counted nothing will
-- be sent. An email fenced, sent, or otherwise not to be cancelled by now is left alone.
create or replace function mailer.cancel_emails(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
  v_ids uuid[] := array(select jsonb_array_elements_text(v_args -> 'ids')::uuid);
  v_rows jsonb;
begin
  v_ids := array(
    select e.id from mailer.emails e
    where e.id = any (v_ids) and mailer.may_see(e.owner_id)
    order by e.id for update);
  -- A statement of its own: it sees what was committed while the locks were waited for.
  execute format($sql$
    with moved as (
      update mailer.emails e set state = 'cancelled', version = e.version + 1,
        worker_id = null, sequence = e.sequence + 1
      where e.id = any ($1) and %s
      returning e.id, e.owner_id, e.sequence
    )
    select coalesce(jsonb_agg(to_jsonb(m) order by m.id), '[]') from moved m$sql$,
    mailer.cancellable_sql()) using v_ids into v_rows;

  perform mailer.lock_journal();
  insert into mailer.journal (owner_id, actor, origin, action, email_id, sequence, detail)
  select r ->> 'owner_id', mailer.claim_sub(), v_args ->> 'origin', 'email.cancelled',
    (r ->> 'id')::uuid, (r ->> 'sequence')::integer,
    jsonb_build_object('status', 'cancelled', 'bulk', v_args -> 'bulk')
  from jsonb_array_elements(v_rows) r;
  return jsonb_build_object('cancelled', jsonb_array_length(v_rows))::text;
end
$$;

call mailer.offer('cancel_emails', 'user', 'admin');
