-- Followers: who reads the journal, how far, and who may move on.
--
-- A follower is keyed by name, generation and slice. Exactly one owner may move its position: it holds a
-- lease, and every take-over raises the epoch, so that a process that slept through its lease finds the door
-- shut. Time is the database's. The check stands in the statement that moves the position, which is the
-- first statement of the batch's transaction: everything the batch writes hangs on it.

create table followers (
    name        text        not null,
    generation  int         not null,
    slice       int         not null default 0,
    -- Everything up to here is in what the follower writes, or parked.
    position    bigint      not null default 0 check (position >= 0),
    owner       uuid,
    epoch       bigint      not null default 0,
    lease_until timestamptz,
    updated_at  timestamptz not null default clock_timestamp(),
    primary key (name, generation, slice)
);

-- Takes the lease when it is free, over, or one's own. No row: somebody else holds it.
create function follower_claim(
    p_name text, p_generation int, p_slice int, p_owner uuid, p_lease_ms int
) returns table (epoch bigint, "position" bigint) language plpgsql as $$
begin
    insert into followers (name, generation, slice) values (p_name, p_generation, p_slice)
    on conflict do nothing;
    return query
    update followers f
    set owner = p_owner,
        epoch = f.epoch + 1,
        lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0),
        updated_at = clock_timestamp()
    where f.name = p_name and f.generation = p_generation and f.slice = p_slice
      and (f.owner is null or f.owner = p_owner or f.lease_until < clock_timestamp()) -- guard: lease
    returning f.epoch, f.position;
end
$$;

-- Moves the position and renews the lease; false when the lease was lost. `from = to` only renews.
create function follower_advance(
    p_name text, p_generation int, p_slice int, p_owner uuid, p_epoch bigint,
    p_from bigint, p_to bigint, p_lease_ms int
) returns boolean language plpgsql as $$
begin
    update followers f
    set position = p_to,
        lease_until = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0),
        updated_at = clock_timestamp()
    where f.name = p_name and f.generation = p_generation and f.slice = p_slice
      and f.owner = p_owner and f.epoch = p_epoch -- guard: fence
      and f.position = p_from -- guard: old position
    ;
    return found;
end
$$;

-- Gives the lease back, so that the next owner need not wait for its end.
create function follower_release(
    p_name text, p_generation int, p_slice int, p_owner uuid, p_epoch bigint
) returns boolean language plpgsql as $$
begin
    update followers f set owner = null, lease_until = null, updated_at = clock_timestamp()
    where f.name = p_name and f.generation = p_generation and f.slice = p_slice
      and f.owner = p_owner and f.epoch = p_epoch;
    return found;
end
$$;

-- Positions that will never be filled: numbers drawn by transactions that rolled back, or lost in a crash.
-- Proved once, shared by all followers.
create table dead_spans (
    first_position bigint      not null,
    last_position  bigint      not null,
    -- The transaction id that was drawn after the hole was seen, and that every possible owner is older than.
    proof          xid8        not null,
    proved_by      text        not null,
    proved_at      timestamptz not null default clock_timestamp(),
    primary key (first_position, last_position),
    check (first_position <= last_position)
);

-- Holes that a follower waits at. A row here is why a position does not move.
create table open_holes (
    follower       text        not null primary key,
    first_position bigint      not null,
    last_position  bigint      not null,
    proof          xid8,
    since          timestamptz not null default clock_timestamp()
);

-- Events that a follower could not take, and everything of the same key behind them, in order.
create table parked (
    name       text        not null,
    generation int         not null,
    position   bigint      not null,
    key        text        not null,
    event_type text        not null,
    -- Why; null for an event that only stands behind another one of its key.
    reason     text,
    parked_at  timestamptz not null default clock_timestamp(),
    primary key (name, generation, position)
);
create index parked_by_key on parked (name, generation, key, position);
