-- journal_state: what a checkpoint signs, of everybody's chains or of one owner's.
--
-- args { owner_id | null }; answer { at, position, chains, root (hex) }
--   position: of the newest sealed entry; 0: there is none
--   root: sha256 over all heads, each as sha256(owner_id in UTF-8) || number (8 bytes) || hash,
--     in the order of the first: it depends on nothing but the entries up to position, and
--     names nobody.
--
-- Guarantees: one moment. A user gets its own chain's, whatever is asked for; an admin, and the part of
-- the program that keeps checkpoints, what they ask for.
create or replace function mailer.journal_state(args text) returns text
language plpgsql stable set search_path = ''
as $$
declare
  v_owner text := mailer.whose(args::jsonb ->> 'owner_id');
  v_position bigint;
  v_chains bigint;
  v_root bytea;
begin
  select count(*), sha256(coalesce(string_agg(q.owner || int8send(q.number) || q.hash, ''::bytea
    order by q.owner), ''::bytea)) into v_chains, v_root
  from (
    select sha256(convert_to(h.owner_id, 'UTF8')) as owner, h.number, h.hash
    from mailer.journal_heads h where v_owner is null or h.owner_id = v_owner
  ) q;
  if v_owner is null then
    select s.position into v_position from mailer.sealer s where s.is_only_row;
  else
    v_position := coalesce(
      (select max(s.position) from mailer.seals s where s.owner_id = v_owner),
      (select a.position from mailer.journal_anchors a where a.owner_id = v_owner));
  end if;
  return json_build_object('at', mailer.utc_text(clock_timestamp()),
    'position', coalesce(v_position, 0), 'chains', v_chains,
    'root', encode(v_root, 'hex'))::text;
end
$$;

call mailer.offer('journal_state', 'user', 'admin', 'maintenance');
