-- What must not happen in silence, where no row of another table says it: a lease that was denied or lost, a
-- follower that fails again and again, a read model that stands still. One row a class and subject, with the
-- last reason and how often it began: the table is as small as the list of followers.

create table incidents (
    class    text        not null,
    -- Mostly a follower: name/generation/slice.
    subject  text        not null,
    reason   text        not null,
    -- How often it began.
    times    bigint      not null default 1,
    first_at timestamptz not null default clock_timestamp(),
    -- When it began the last time.
    began_at timestamptz not null default clock_timestamp(),
    -- Null while it goes on; of what takes no time, the moment itself.
    ended_at timestamptz,
    primary key (class, subject)
);

-- It begins, or goes on for another reason; true when it begins. What takes no time is over at once.
create function incident_begin(p_class text, p_subject text, p_reason text, p_lasts boolean)
returns boolean language plpgsql as $$
declare
    was_open boolean;
begin
    -- Generations come and go, and their followers with them.
    delete from incidents where ended_at < clock_timestamp() - interval '30 days';
    insert into incidents (class, subject, reason, first_at, began_at, ended_at)
    values (p_class, p_subject, p_reason, now(), now(), case when not p_lasts then now() end)
    on conflict do nothing;
    if found then
        return true;
    end if;
    select ended_at is null into was_open from incidents
    where class = p_class and subject = p_subject for update;
    update incidents
    set reason = p_reason,
        times = times + case when was_open then 0 else 1 end,
        began_at = case when was_open then began_at else now() end,
        ended_at = case when not p_lasts then now() end
    where class = p_class and subject = p_subject;
    return not was_open;
end
$$;

-- It is over; true when it went on until now.
create function incident_end(p_class text, p_subject text)
returns boolean language plpgsql as $$
begin
    update incidents set ended_at = clock_timestamp()
    where class = p_class and subject = p_subject and ended_at is null;
    return found;
end
$$;

-- When a position last moved. `updated_at` is also a sign of life of one that stands still.
alter table followers add column moved_at timestamptz not null default clock_timestamp();

create function note_move() returns trigger language plpgsql as $$
begin
    new.moved_at := clock_timestamp();
    return new;
end
$$;
create trigger followers_note_moves before update on followers
    for each row when (new.position > old.position) execute function note_move();

-- Parked keys that are tried again by themselves: a few times, each later than the one before, and then never.
-- None of a key that waits for a program that can read it: that one is tried when it comes (0017).
create table parked_tries (
    name           text        not null,
    generation     int         not null,
    key            text        not null,
    -- How often it was tried again in vain.
    attempts       int         not null default 0,
    -- Not before this time; null when it is left to people.
    next_at        timestamptz,
    quarantined_at timestamptz,
    primary key (name, generation, key),
    check ((next_at is null) = (quarantined_at is not null))
);
insert into parked_tries (name, generation, key, next_at)
select name, generation, key, clock_timestamp() from parked
group by 1, 2, 3 having not bool_or(unread);

-- Notes that a key was tried, in the transaction of the try. True when this try was the last one by itself.
create function parked_tried(
    p_name text, p_generation int, p_key text, p_stuck boolean, p_first_ms bigint, p_tries_max int
) returns boolean language plpgsql as $$
declare
    tries int;
begin
    if not exists (select from parked where name = p_name and generation = p_generation and key = p_key)
       or exists (select from parked where name = p_name and generation = p_generation and key = p_key and unread)
    then
        delete from parked_tries where name = p_name and generation = p_generation and key = p_key;
        return false;
    end if;
    if not p_stuck then
        return false;
    end if;
    insert into parked_tries as t (name, generation, key, attempts, next_at)
    values (p_name, p_generation, p_key, 1, clock_timestamp())
    on conflict (name, generation, key) do update set attempts = t.attempts + 1
    returning attempts into tries;
    update parked_tries
    set next_at = case
                      when true
                       and tries < p_tries_max -- guard: budget
                      then clock_timestamp() + p_first_ms * (4 ^ tries) * interval '1 millisecond' end,
        quarantined_at = case when tries >= p_tries_max
                         then coalesce(quarantined_at, clock_timestamp()) end
    where name = p_name and generation = p_generation and key = p_key;
    return tries = p_tries_max;
end
$$;

grant select, insert, update, delete on incidents, parked_tries to spacerent_runtime;
