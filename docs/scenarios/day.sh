#!/usr/bin/env bash
# A day at a venue, through HTTP, on a clock that the script sets (docs/reliability.md: CLOCK_FILE; debug builds only). It starts a server
# of its own on the usual ports. Every sum at the end was reckoned by hand, in the comments.
SPACERENT=${SPACERENT:-target/debug/spacerent}
source "$(dirname "$0")/lib.sh"
[ -x "$SPACERENT" ] || fail "$SPACERENT is not there: cargo build"

work=$(mktemp -d "${TMPDIR:-/tmp}/spacerent-day.XXXXXX"); chmod 755 "$work"
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
export CLOCK_FILE=$work/clock
# it_is TIME: sets the clock; it goes on from there.
it_is() { printf '%s:00+09:00' "$1" >"$CLOCK_FILE.new"; mv "$CLOCK_FILE.new" "$CLOCK_FILE"; say "It is $1 in Seoul: $2"; }

it_is 2027-03-01T09:00 'the venue opens its books'
RUST_LOG=warn "$SPACERENT" --data-dir "$work/data" dev --fresh >"$work/log" 2>&1 &
until_true 90 'the server is ready' curl -fsS "$BOOKS/readyz"

# book USER FROM TO [MORE]: leaves the number of the booking in $id.
book() {
    request POST "$BOOKS/books" "{\"userid\":$1,\"spacename\":\"studio\",\"start\":\"$2:00+09:00\",\"end\":\"$3:00+09:00\"${4:-}}"
    id=$(header location); id=${id##*/}
}
registered() { until_true 5 "booking $1 is registered" is "$SPACES/spaces/$1" status success-register; }
cancel() { request POST "$BOOKS/books/$1/cancel" "{\"reason\":\"$2\"}"; expect "cancelling booking $1" "$code" 200; }
quoted() { request GET "$BOOKS/books/$1/cancellation-quote"; expect "what cancelling booking $1 would give back" "$(json percent) % $(json refund.amount)" "$2"; }
staff() { request POST "$SPACES/spaces/$1/$2" "{\"by\":\"kim\"${3:-}}"; expect "booking $1: $2" "$(( code < 300 ))" 1; }
money() { printf '%s %s' "$(field "$PAYMENTS/payments/$1" captured)" "$(field "$PAYMENTS/payments/$1" refunded)"; }
money_is() { [ "$(money "$1")" = "$2" ]; }
points() { until_true 5 "customer $1 has $2 points" is "$GATEWAY/points/$1" points "$2"; }

# An hour costs 12,000 won, from six in the evening on 18,000; past the end it costs 15,000. Two percent of what is paid comes back in
# points. A cancellation gives back everything until 48 hours before the start, half until 24 hours before, then nothing.
request POST "$BOOKS/venues" '{
  "spacename": "studio", "timezone": "Asia/Seoul", "units": 1, "granularity_minutes": 30, "buffer_after_minutes": 30,
  "opening_hours": {"monday":[{"from":"09:00","to":"22:00"}],"tuesday":[{"from":"09:00","to":"22:00"}],"wednesday":[{"from":"09:00","to":"22:00"}],
    "thursday":[{"from":"09:00","to":"22:00"}],"friday":[{"from":"09:00","to":"22:00"}],"saturday":[{"from":"09:00","to":"22:00"}],"sunday":[{"from":"09:00","to":"22:00"}]},
  "price_per_hour": {"amount":12000,"currency":"KRW"},
  "rates": [{"from":"18:00","to":"22:00","price_per_hour":{"amount":18000,"currency":"KRW"}}],
  "overtime_per_hour": {"amount":15000,"currency":"KRW"}, "points_rate": 200, "no_show_grace_minutes": 15,
  "cancellation": {"grace_minutes":0,"tiers":[{"hours_before":48,"refund_percent":100},{"hours_before":24,"refund_percent":50}]}}'
expect 'defining the studio' "$code" 201

# Half an hour at 12,000 and half an hour at 18,000: 6,000 + 9,000.
request POST "$BOOKS/quotes" '{"spacename":"studio","start":"2027-03-05T17:30:00+09:00","end":"2027-03-05T18:30:00+09:00"}'
expect 'a quote across the evening rate' "$(json amount) $(json currency) $(json earns_points)" '15000 KRW 300'

book 1 2027-03-05T10:00 2027-03-05T12:00; a=$id; expect 'A, two hours on Friday' "$code $(json amount)" '201 24000'
book 2 2027-03-05T13:00 2027-03-05T14:00; b=$id; expect 'B, an hour' "$code $(json amount)" '201 12000'
book 3 2027-03-05T15:00 2027-03-05T17:00; c=$id; expect 'C, two hours' "$code $(json amount)" '201 24000'
book 4 2027-03-05T17:30 2027-03-05T18:30; d=$id; expect 'D, into the evening' "$code $(json amount)" '201 15000'
book 5 2027-03-05T19:00 2027-03-05T20:00; e=$id; expect 'E, in the evening' "$code $(json amount)" '201 18000'
book 1 2027-03-06T10:00 2027-03-06T11:00; f=$id; expect 'F, an hour on Saturday' "$code $(json amount)" '201 12000'
book 6 2027-03-05T20:30 2027-03-05T21:30; g=$id; expect 'G, after E' "$code $(json amount)" '201 18000'
# Until half past twelve the studio is cleaned after A.
book 6 2027-03-05T12:00 2027-03-05T13:00
expect 'an hour that begins in the buffer' "$code $(json type)" '409 /problems/slot-taken'
expect 'other times are offered' "$(( $(json alternatives) > 0 ))" 1
for booking in $a $b $c $d $e $f $g; do registered "$booking"; done

it_is 2027-03-03T12:00 'two days before'
# B begins in 49 hours.
quoted "$b" '100 % 12000'; cancel "$b" 'another plan'
until_true 5 'B: all of it is back' money_is "$b" '12000 12000'
# F moves to the evening: 18,000 instead of 12,000.
request POST "$BOOKS/books/$f/reschedule" '{"start":"2027-03-06T18:00:00+09:00","end":"2027-03-06T19:00:00+09:00"}'
expect 'moving F to the evening' "$code $(json amount)" '200 18000'
until_true 5 'F: 6,000 more are captured' money_is "$f" '18000 0'
# Customer 1 has 480 points of A and 360 of F; 400 of them pay for H, 11,600 won the rest. All of it comes back.
points 1 840
book 1 2027-03-07T10:00 2027-03-07T11:00 ',"points":400'; h=$id
expect 'H, partly with points' "$code $(json amount)" '201 12000'; registered "$h"
points 1 672 # 840 - 400 + 232 (2 % of 11,600)
cancel "$h" 'too far away'
until_true 5 'H: money is back' money_is "$h" '11600 11600'
points 1 840

it_is 2027-03-04T12:00 'the day before'
# C begins in 27 hours: half of 24,000.
quoted "$c" '50 % 12000'; cancel "$c" 'ill'
until_true 5 'C: half of it is back' money_is "$c" '24000 12000'

# G begins in 32 and a half hours, and moves to Saturday morning: 12,000 instead of 18,000. Of the 6,000 between them half
# goes back, as from a cancellation; half of what the new time costs would go back now.
request POST "$BOOKS/books/$g/reschedule" '{"start":"2027-03-06T10:00:00+09:00","end":"2027-03-06T11:00:00+09:00"}'
expect 'moving G to a cheaper time' "$code $(json amount)" '200 12000'
until_true 5 'G: half of the difference is back' money_is "$g" '18000 3000'
quoted "$g" '50 % 6000'

it_is 2027-03-05T09:00 'Friday morning'
# D begins in eight and a half hours: nothing.
quoted "$d" '0 % 0'; cancel "$d" 'overslept'
until_true 5 'D is cancelled' is "$BOOKS/books/$d" status cancel-register
expect 'D: all of it is kept' "$(money "$d")" '15000 0'
staff "$a" prepare; staff "$a" ready

it_is 2027-03-05T10:00 'A begins'
staff "$a" hand-over ',"method":"code"'; staff "$a" check-in
request POST "$BOOKS/books/$a/cancel" '{"reason":"changed my mind"}'
expect 'cancelling A by now' "$code" 409

# Twenty started minutes past the end, less the seconds that this script may need.
printf '2027-03-05T12:19:05+09:00' >"$CLOCK_FILE"; say 'It is 2027-03-05T12:19 in Seoul: A is late'
staff "$a" check-out
until_true 5 'A: 20 minutes of 15,000 an hour are captured' money_is "$a" '29000 0'
until_true 5 'A is completed' is "$BOOKS/books/$a" status completed

it_is 2027-03-05T19:15 'nobody came for E'
until_true 10 'E is a no-show by itself' is "$BOOKS/books/$e" status no-show
expect 'E: all of it is kept' "$(money "$e")" '18000 0'

it_is 2027-03-06T18:00 'Saturday evening: F begins'
until_true 10 'G did not come in the morning either' is "$BOOKS/books/$g" status no-show
staff "$f" ready; staff "$f" hand-over ',"method":"key"'; staff "$f" check-in
it_is 2027-03-06T18:58 'F is in time'
staff "$f" check-out
until_true 5 'F is completed' is "$BOOKS/books/$f" status completed

say 'In the end'
points 1 940  # 2 % of A's 29,000 and of F's 18,000
points 2 0    # B was given back
points 3 240  # 2 % of C's 24,000, less half of it
points 4 300  # 2 % of D's 15,000
points 5 360  # 2 % of E's 18,000
points 6 300  # 2 % of G's 18,000, less the part of the 3,000 that went back
request GET "$PAYMENTS/stub/ledger"
# 29,000 (A) + 12,000 (C) + 15,000 (D) + 18,000 (E) + 18,000 (F) + 15,000 (G)
expect 'what the gateway has kept' "$(printf '%s' "$body" | python3 -c '
import json, sys
print(sum(charge["amount"] - charge["refunded"] for charge in json.load(sys.stdin)["charges"]))')" 107000
request GET "$GATEWAY/mypages/$a/trace"
printf '%s' "$body" | python3 -c '
import json, sys
for e in json.load(sys.stdin)["events"]:
    print("  %s  %-18s %-9s %s" % (e["at"][:16], e["event"], e["actor"], e["note"] or ""))'
