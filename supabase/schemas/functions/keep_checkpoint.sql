-- keep_checkpoint: args { position, checkpoint: JSON as text }; answer { is_kept: false when there is one
-- of that position }.
create or replace function mailer.keep_checkpoint(args text) returns text
language plpgsql set search_path = ''
as $$
declare
  v_args jsonb := args;
begin
  insert into mailer.checkpoints (position, checkpoint)
  values ((v_args ->> 'position')::bigint, v_args ->> 'checkpoint')
  on conflict (position) do nothing;
  return jsonb_build_object('is_kept', found)::text;
end
$$;

call mailer.offer('keep_checkpoint', 'maintenance');
