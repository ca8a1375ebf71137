-- Idempotency keys of HTTP commands: the first answer, given again.
--
-- The row is written before the command runs and finished after it. A row that stayed in progress (the
-- process died) is taken over when its lock runs out; the command id is derived from principal and key, so
-- the command itself happens once whatever happens here.

create table idempotency_keys (
    principal    text        not null,
    key          text        not null,
    method       text        not null,
    path         text        not null,
    -- SHA-256 of the body as it came.
    fingerprint  bytea       not null,
    status       int,
    headers      jsonb,
    body         bytea,
    locked_until timestamptz not null,
    created_at   timestamptz not null default clock_timestamp(),
    primary key (principal, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);
