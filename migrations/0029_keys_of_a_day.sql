-- A key's command id. A row says under which id its request is run, for as long as the row lives: whoever takes it over
-- runs it under the same. The caller derives one id from everything that a request is: principal, key, method, path,
-- body. What did something under it more than a day ago was another request, and this one is run under another id.
--
-- The row alone would do, were it not for a journal that is moved: keys stay behind, commands and their times come
-- along, and whoever repeats a request of that day is still answered about what it did.

-- Null: begun by a process of the version before, which derives ids in another way.
alter table idempotency_keys add column command_id uuid;

-- As before, with `p_command_id`, the id that the request has by itself, and `p_other_id`, one that nobody has had.
create function idempotency_begin(
    p_principal text, p_key text, p_method text, p_path text, p_fingerprint bytea, p_lock_ms int,
    p_command_id uuid, p_other_id uuid
) returns table (outcome text, attempt int, status int, headers jsonb, body bytea, command_id uuid)
language plpgsql as $$
#variable_conflict use_column
declare
    since  timestamptz := clock_timestamp() - interval '24 hours';
    chosen uuid := p_command_id;
begin
    -- A key is remembered for a day. Every request takes up to two forgotten ones along, so that the table
    -- never outgrows a day and needs no sweeper.
    delete from idempotency_keys k
    where k.created_at < since
      and ((k.principal, k.key) = (p_principal, p_key) or k.ctid = any (array(
          select o.ctid from idempotency_keys o
          where o.created_at < since
          order by o.created_at limit 2
          for update skip locked
      )));

    if exists (select from commands c where c.command_id = p_command_id and c.recorded_at < since)
       or exists (select from venue_changes v where v.command_id = p_command_id and v.changed_at < since)
    then
        chosen := p_other_id; -- rule: another day
    end if;

    -- Insert before looking: of callers at one moment, one gets the row and the others wait for it here.
    -- Time is the database's, so that a process whose clock is wrong cannot take over too early.
    return query
    insert into idempotency_keys as k (principal, key, method, path, fingerprint, locked_until, command_id)
    values (
        p_principal, p_key, p_method, p_path, p_fingerprint,
        clock_timestamp() + make_interval(secs => p_lock_ms / 1000.0), chosen
    )
    on conflict (principal, key) do update
    set attempt = k.attempt + 1, locked_until = excluded.locked_until
    where k.status is null
      and k.locked_until < clock_timestamp() -- rule: lock
      and (k.method, k.path, k.fingerprint) = (excluded.method, excluded.path, excluded.fingerprint) -- rule: same request
      and (k.command_id is null or excluded.command_id is not null) -- rule: same id
    returning 'begun', k.attempt, null::int, null::jsonb, null::bytea, k.command_id;
    if found then
        return;
    end if;

    return query
    select case
               when (k.method, k.path, k.fingerprint) <> (p_method, p_path, p_fingerprint) then 'other'
               when k.status is null then 'busy'
               else 'done'
           end,
           k.attempt, k.status, k.headers, k.body, k.command_id
    from idempotency_keys k where k.principal = p_principal and k.key = p_key;
end
$$;

-- Processes of the version before, while they are still there beside those of this one. What one of this version has
-- begun they do not take over, for they would run it under another id: it is busy to them.
create or replace function idempotency_begin(
    p_principal text, p_key text, p_method text, p_path text, p_fingerprint bytea, p_lock_ms int
) returns table (outcome text, attempt int, status int, headers jsonb, body bytea) language sql as $$
    select b.outcome, b.attempt, b.status, b.headers, b.body
    from idempotency_begin(p_principal, p_key, p_method, p_path, p_fingerprint, p_lock_ms, null, null) b
$$;
