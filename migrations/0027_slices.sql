-- Slices: a follower whose keys are cut into parts, so that several nodes share its work. Each slice has a row in
-- `followers`, with a position and a lease of its own (docs/adr/0026).
--
-- What may be cut has a row here, which says into how many slices; every other follower has slice 0 alone, which takes
-- all keys. The layout decides which rows there are: nobody claims one that it does not have, and nobody moves one of a
-- layout that was.

create table follower_layouts (
    name       text        not null,
    generation int         not null,
    -- 1: all keys are in slice 0. Else slices are counted from 1.
    slices     int         not null default 1 check (slices between 1 and 16),
    changed_at timestamptz not null default clock_timestamp(),
    primary key (name, generation)
);
insert into follower_layouts (name, generation) values ('orders', 1);
grant select on follower_layouts to spacerent_runtime;

-- Which of so many slices a key is in. It is the same for ever and in every program (journal::follow::Slice::of_key):
-- who saw it otherwise would take another's keys, and leave its own.
create function slice_of(p_key text, p_slices int) returns int language sql immutable as $$
    select case
        when p_slices = 1 then 0
        else 1 + (('x' || left(encode(sha256(convert_to(p_key, 'UTF8')), 'hex'), 8))::bit(32)::bigint % p_slices)::int
    end
$$;

-- Takes the lease when it is free, over, or one's own; of the slice of so many that the follower takes to be there. No
-- row: somebody else holds it, or the follower is cut otherwise.
--
-- A process that slept through a cut holds no lease any more, because the row that it held is gone, and gets none for
-- the keys that it knows: the same number among others is another slice.
create function follower_claim(
    p_name text, p_generation int, p_slice int, p_slices int, p_owner uuid, p_lease_ms int
) returns table (epoch bigint, "position" bigint) language plpgsql as $$
begin
    -- A cut waits until this is committed, or this until the cut is: what is read here stays so.
    perform pg_advisory_xact_lock_shared(hashtextextended('slices of ' || p_name, 0)); -- guard: cut
    if exists ( -- guard: layout
        select from follower_layouts l -- guard: layout
        where l.name = p_name and l.generation = p_generation -- guard: layout
          and (l.slices <> p_slices or p_slice > l.slices or (p_slice = 0) <> (l.slices = 1)) -- guard: layout
    ) then -- guard: layout
        return; -- guard: layout
    end if; -- guard: layout
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

-- Processes of the version before, while they are still there beside those of this one: they take all keys, so they are
-- denied where the keys are cut.
create or replace function follower_claim(
    p_name text, p_generation int, p_slice int, p_owner uuid, p_lease_ms int
) returns table (epoch bigint, "position" bigint) language sql as $$
    select * from follower_claim(p_name, p_generation, p_slice, 1, p_owner, p_lease_ms)
$$;

-- Cuts a follower into so many slices, and says into how many it was cut; null when it may not be cut.
--
-- Its rows go and others come, at the lowest position of those that were: what some had taken behind it is taken again,
-- so only a follower is cut for which that is nothing new. Who is in the middle of a batch has its row until the commit;
-- we wait for it. Who comes later finds no row that is his.
create function follower_cut(p_name text, p_generation int, p_slices int) returns int language plpgsql as $$
declare
    before     int;
    lowest     bigint;
    last_epoch bigint;
begin
    perform pg_advisory_xact_lock(hashtextextended('slices of ' || p_name, 0));
    select slices into before from follower_layouts where name = p_name and generation = p_generation;
    if before is null or before = p_slices then
        return before;
    end if;
    update follower_layouts set slices = p_slices, changed_at = clock_timestamp()
    where name = p_name and generation = p_generation;
    with gone as (
        delete from followers where name = p_name and generation = p_generation returning position, epoch
    )
    select min(position), max(epoch) into lowest, last_epoch from gone;
    insert into followers (name, generation, slice, position, epoch)
    select p_name, p_generation, slice, coalesce(lowest, 0), 0
           -- An epoch does not come again, though a layout may: a statement that was sent long ago finds none like its own.
           + coalesce(last_epoch, 0) -- guard: epochs
    from generate_series(least(p_slices - 1, 1), case when p_slices = 1 then 0 else p_slices end) slice;
    -- What was said of slices that are no more.
    delete from follower_candidates where name = p_name and generation = p_generation;
    delete from open_holes
    where follower = p_name || '/' || p_generation or starts_with(follower, p_name || '/' || p_generation || '/');
    update incidents set ended_at = clock_timestamp()
    where class = 'follower_failing' and ended_at is null
      and starts_with(subject, p_name || '/' || p_generation || '/');
    return before;
end
$$;
