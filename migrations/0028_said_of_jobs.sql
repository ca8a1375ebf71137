-- People may say what they saw when they decide about a job: its worker knows it from then on, and the decision keeps it.
create function job_decide(p_id bigint, p_action text, p_by text, p_reason text, p_said jsonb)
returns text language plpgsql as $$
declare
    job jobs;
begin
    select * into job from jobs where id = p_id for update;
    if not found or job.state <> 'attention' then -- guard: for people
        return job.state; -- guard: for people
    end if; -- guard: for people
    insert into decisions (action, subject, decided_by, reason)
    values ('job.' || p_action,
            case p_said when '{}' then to_jsonb(job) else to_jsonb(job) || jsonb_build_object('said', p_said) end,
            p_by, p_reason);
    update jobs
    set state = case p_action when 'retry' then 'open' else 'done' end,
        payload = payload || p_said,
        due_at = case p_action when 'retry' then clock_timestamp() else due_at end,
        finished_at = case p_action when 'retry' then null else clock_timestamp() end
    where id = p_id;
    return job.state;
end
$$;

-- By this signature the version before decides.
create or replace function job_decide(p_id bigint, p_action text, p_by text, p_reason text)
returns text language sql as $$
    select job_decide(p_id, p_action, p_by, p_reason, '{}')
$$;
