-- Processes of the version before, while they are still there beside those of this one, claim jobs by this signature,
-- and by the database's clock. 0025 should have left it. (docs/adr/0003)
create function job_claim(p_kinds text[], p_owner uuid, p_limit int, p_lease_ms int)
returns setof jobs language sql as $$
    select * from job_claim(p_kinds, p_owner, p_limit, p_lease_ms, null)
$$;
