-- Jobs: what must call the outside or wait for time, as rows.
--
-- A follower writes a job in the transaction of its checkpoint. A worker claims it in a short transaction,
-- works with none open, and finishes it with a fenced update: whoever claimed it later has a higher fence,
-- and the earlier one's finish does nothing.

create table jobs (
    id            bigint generated always as identity primary key,
    kind          text        not null,
    -- What it is about; one job of a kind for each.
    key           text        not null,
    bookid        bigint      not null,
    -- What the worker needs to know: strings, among them the correlation id.
    payload       jsonb       not null,
    state         text        not null default 'open' check (state in ('open', 'done', 'attention')),
    -- Dated by the business (hold expiry, no-show) rather than work.
    timer         boolean     not null default false,
    due_at        timestamptz not null,
    attempts      int         not null default 0,
    fence         bigint      not null default 0,
    owner         uuid,
    claimed_until timestamptz,
    last_error    text,
    created_at    timestamptz not null default clock_timestamp(),
    finished_at   timestamptz,
    unique (kind, key)
);
create index jobs_to_do on jobs (kind, due_at) where state = 'open';

-- Claims up to `p_limit` jobs that are due and that nobody works on.
create function job_claim(p_kinds text[], p_owner uuid, p_limit int, p_lease_ms int)
returns setof jobs language sql as $$
    with picked as (
        select id from jobs
        where state = 'open' and kind = any (p_kinds) and due_at <= clock_timestamp()
          and (claimed_until is null or claimed_until < clock_timestamp())
        order by due_at, id
        limit p_limit
        for update skip locked
    )
    update jobs j
    set owner = p_owner,
        fence = j.fence + 1,
        attempts = j.attempts + 1,
        claimed_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
    from picked where j.id = picked.id
    returning j.*
$$;

-- Ends a claim: done, to be tried again at `p_due_at`, or for people. False when the claim was lost.
create function job_finish(p_id bigint, p_fence bigint, p_state text, p_due_at timestamptz, p_error text)
returns boolean language plpgsql as $$
begin
    update jobs
    set state = p_state,
        due_at = coalesce(p_due_at, due_at),
        last_error = p_error,
        owner = null,
        claimed_until = null,
        finished_at = case when p_state = 'open' then null else clock_timestamp() end
    where id = p_id
      and state = 'open'
      and fence = p_fence -- guard: fence
    ;
    return found;
end
$$;

-- The saga's state, one row a booking, written in the transaction of the saga's checkpoint.
create table orders (
    bookid   bigint primary key,
    state    jsonb  not null,
    -- The last event that is in `state`. Folding starts behind it, so a second fold changes nothing.
    position bigint not null
);
