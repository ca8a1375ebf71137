-- Idempotency keys of HTTP commands: the first answer, given again.
--
-- The row is written before the command runs and finished after it. A row that stayed in progress (the
-- process died) is taken over when its lock runs out; the command id is derived from principal, key and
-- body, so the command itself happens once whatever happens here.

create table idempotency_keys (
    principal    text        not null,
    key          text        not null,
    method       text        not null,
    path         text        not null,
    -- SHA-256 of the body as it came.
    fingerprint  bytea       not null,
    -- Grows with every take-over; only the latest attempt may finish.
    attempt      int         not null default 1,
    status       int,
    -- The answer's headers as [[name, value], …], in order.
    headers      jsonb,
    body         bytea,
    locked_until timestamptz not null,
    created_at   timestamptz not null default clock_timestamp(),
    primary key (principal, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);

-- Begins a request. `begun`: the caller runs it; `busy`: somebody else does; `done`: the answer of then;
-- `other`: the key was used for another request.
create function idempotency_begin(
    p_principal text, p_key text, p_method text, p_path text, p_fingerprint bytea, p_lock_ms int
) returns table (outcome text, attempt int, status int, headers jsonb, body bytea)
language plpgsql as $$
#variable_conflict use_column
begin
    -- A key is remembered for a day. Every request takes up to two forgotten ones along, so that the table
    -- never outgrows a day and needs no sweeper.
    delete from idempotency_keys k
    where k.created_at < clock_timestamp() - interval '24 hours'
      and ((k.principal, k.key) = (p_principal, p_key) or k.ctid = any (array(
          select o.ctid from idempotency_keys o
          where o.created_at < clock_timestamp() - interval '24 hours'
          order by o.created_at limit 2
          for update skip locked
      )));

    -- Insert before looking: of callers at one moment, one gets the row and the others wait for it here.
    -- Time is the database's, so that a process whose clock is wrong cannot take over too early.
    return query
    insert into idempotency_keys as k (principal, key, method, path, fingerprint, locked_until)
    values (
        p_principal, p_key, p_method, p_path, p_fingerprint,
        clock_timestamp() + make_interval(secs => p_lock_ms / 1000.0)
    )
    on conflict (principal, key) do update
    set attempt = k.attempt + 1, locked_until = excluded.locked_until
    where k.status is null
      and k.locked_until < clock_timestamp() -- rule: lock
      and (k.method, k.path, k.fingerprint) = (excluded.method, excluded.path, excluded.fingerprint) -- rule: same request
    returning 'begun', k.attempt, null::int, null::jsonb, null::bytea;
    if found then
        return;
    end if;

    return query
    select case
               when (k.method, k.path, k.fingerprint) <> (p_method, p_path, p_fingerprint) then 'other'
               when k.status is null then 'busy'
               else 'done'
           end,
           k.attempt, k.status, k.headers, k.body
    from idempotency_keys k where k.principal = p_principal and k.key = p_key;
end
$$;
