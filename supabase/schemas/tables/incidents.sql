-- Incidents: one row for each thing that is wrong in the installation at the moment, inserted by the
-- first process that finds it and deleted by the first that finds it over. The key makes each change happen once for all
-- processes, so it stands in the journal once and is told to webhooks once.
create table mailer.incidents (
  kind text not null check (kind in ('transport', 'region', 'journal', 'webhooks', 'sending')),
  -- The region of a transport, of sending, or the one that is silent; else empty.
  region text not null default '',
  -- The name of a transport; `chain`: the journal does not verify; else empty.
  name text not null default '',
  -- The database's clock when it was found.
  since timestamptz not null,
  primary key (kind, region, name)
);

call mailer.guard('incidents', p_service => 'select, insert, delete');
