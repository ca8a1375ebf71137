-- When a job is due is told by the database's clock, which all nodes share. A clock that was set by hand (tests that
-- play a day in a minute) says so, and then its time counts; claims still end by the database's clock.
drop function job_claim(text[], uuid, int, int);

create function job_claim(p_kinds text[], p_owner uuid, p_limit int, p_lease_ms int, p_set_time timestamptz)
returns setof jobs language sql as $$
    with picked as (
        select id from jobs
        where state = 'open' and kind = any (p_kinds) and due_at <= coalesce(p_set_time, clock_timestamp())
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
