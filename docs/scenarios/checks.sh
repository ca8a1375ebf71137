#!/usr/bin/env bash
# After a load: every accepted booking is paid and registered, or declined, and on My Page; none twice, and the stub's ledger is
# what the Payment streams say. One query each; waits for what is still under way.
source "$(dirname "$0")/lib.sh"
: "${CONVERGE_SECONDS:=120}"

settled() { [ "$(sql "select count(*) from jobs where state = 'open'")" = 0 ] && caught_up; }
caught_up() {
    [ "$(sql "select count(*) from followers f left join projections p using (name, generation)
              where coalesce(p.state, 'live') = 'live'
                and f.position < (select max(position) from events)")" = 0 ]
}
until_true "$CONVERGE_SECONDS" 'no open job, every follower at the head' settled

say 'bookings accepted'
sql "select count(*) from events where event_type = 'Booked'"

check() {
    local what=$1 found
    found=$(sql "$2")
    printf '%-64s %s\n' "$what" "$found"
    [ "$found" = 0 ] || fail "$what"
}
check 'neither paid and registered nor declined, on My Page alike' "
    select count(*) from events e
    where e.event_type = 'Booked' and not exists (
        select from books.books b
        join payments.payments p using (bookid)
        left join spaces.spaces s using (bookid)
        join mypage.mypages m using (bookid)
        where b.bookid = e.aggregate_id::bigint
          and (b.status, p.status, coalesce(s.status, 'none'), m.status) in (
              ('success-register', 'success-pay', 'success-register', 'Registered'),
              ('cancel-register', 'cancel-pay', 'cancel-register', 'cancel-register'),
              ('pay-failed', 'pay-failed', 'none', 'pay-failed')))"
check 'charged, approved or registered twice' "
    select count(*) from (
        select aggregate_id, event_type from events where event_type in ('Approved', 'Registered', 'BookConfirmed')
        group by 1, 2 having count(*) > 1
        union all
        select bookid::text, 'charge' from stub_gateway.charges where declined is null group by 1 having count(*) > 1
    ) doubled"
check 'bookings where ledger and Payment stream differ' "
    with ledger as (
        select c.bookid, sum(c.amount) - coalesce(sum(r.amount), 0) as held
        from stub_gateway.charges c
        left join (select charge, sum(amount) as amount from stub_gateway.refunds group by 1) r on r.charge = c.reference
        where c.declined is null group by 1
    ), streams as (
        select aggregate_id::bigint as bookid,
               sum(case when event_type in ('Approved', 'LateApproval', 'DuplicateCharge') then (payload->>'amount')::bigint
                        else -(payload->>'amount')::bigint end) as held
        from events
        where aggregate_type = 'Payment'
          and event_type in ('Approved', 'LateApproval', 'DuplicateCharge', 'Cancelled', 'PartiallyRefunded', 'SurplusRefunded')
        group by 1
    )
    select count(*) from ledger l full join streams s using (bookid)
    where coalesce(l.held, 0) <> coalesce(s.held, 0)"
check 'registered without an approved payment before' "
    select count(*) from events r
    where r.event_type = 'Registered' and not exists (
        select from events a where a.aggregate_id = r.aggregate_id and a.event_type = 'Approved' and a.position < r.position)"
say 'passed'
