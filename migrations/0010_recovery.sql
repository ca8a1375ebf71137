-- Recovery by people: what they decided about parked events and about jobs, and who asked for what.
--
-- A decision is a row that stays, with what it was about as it stood at that moment: nothing that was parked or
-- given up disappears without a trace of who let it go, and why.

create table decisions (
    id         bigint generated always as identity primary key,
    action     text        not null check (action in ('parked.retry', 'parked.discard', 'job.retry', 'job.resolve')),
    -- The row that it was about, as it stood.
    subject    jsonb       not null,
    decided_by text        not null check (decided_by <> ''),
    reason     text        not null check (reason <> ''),
    decided_at timestamptz not null default clock_timestamp()
);
create trigger decisions_are_append_only
    before update or delete or truncate on decisions
    for each statement execute function refuse_change();

-- Keys that their follower shall try again. The follower does it, under its lease: nobody else may write what it
-- fills. Its row here goes when it has tried.
create table parked_retries (
    name       text        not null,
    generation int         not null,
    key        text        not null,
    asked_at   timestamptz not null default clock_timestamp(),
    primary key (name, generation, key)
);

-- Asks a follower to try a parked key again. How many events wait; 0: nothing is parked there.
create function parked_retry(p_name text, p_generation int, p_key text, p_by text)
returns int language plpgsql as $$
declare
    waiting int;
begin
    select count(*) into waiting from parked
    where name = p_name and generation = p_generation and key = p_key;
    if waiting = 0 then
        return 0;
    end if;
    insert into decisions (action, subject, decided_by, reason)
    values ('parked.retry',
            jsonb_build_object('name', p_name, 'generation', p_generation, 'key', p_key, 'events', waiting),
            p_by, 'asked for');
    insert into parked_retries (name, generation, key) values (p_name, p_generation, p_key)
    on conflict do nothing;
    return waiting;
end
$$;

-- Takes away the first parked event of a key, or all of them, and has the rest tried again. How many went.
create function parked_discard(
    p_name text, p_generation int, p_key text, p_all boolean, p_by text, p_reason text
) returns int language plpgsql as $$
declare
    gone int;
begin
    -- The follower's batches hold this row from their first statement on: none parks or retries meanwhile.
    perform from followers where name = p_name and generation = p_generation for update; -- guard: batch
    with first as (
        select min(position) as position from parked
        where name = p_name and generation = p_generation and key = p_key
    ), discarded as (
        delete from parked k using first
        where k.name = p_name and k.generation = p_generation and k.key = p_key
          and (p_all or k.position = first.position) -- guard: only the first
        returning k.*
    )
    insert into decisions (action, subject, decided_by, reason)
    select 'parked.discard', to_jsonb(d), p_by, p_reason from discarded d order by d.position;
    get diagnostics gone = row_count;
    if gone > 0 then
        -- Also when nothing is left: the follower has to forget the key.
        insert into parked_retries (name, generation, key) values (p_name, p_generation, p_key)
        on conflict do nothing;
    end if;
    return gone;
end
$$;

-- Decides about a job that is for people: once more now, or done by hand. The state it was in; null: no such job.
create function job_decide(p_id bigint, p_action text, p_by text, p_reason text)
returns text language plpgsql as $$
declare
    job jobs;
begin
    select * into job from jobs where id = p_id for update;
    if not found or job.state <> 'attention' then -- guard: for people
        return job.state; -- guard: for people
    end if; -- guard: for people
    insert into decisions (action, subject, decided_by, reason)
    values ('job.' || p_action, to_jsonb(job), p_by, p_reason);
    update jobs
    set state = case p_action when 'retry' then 'open' else 'done' end,
        due_at = case p_action when 'retry' then clock_timestamp() else due_at end,
        finished_at = case p_action when 'retry' then null else clock_timestamp() end
    where id = p_id;
    return job.state;
end
$$;

grant select, insert on decisions to spacerent_runtime;
grant select, insert, delete on parked_retries to spacerent_runtime;
