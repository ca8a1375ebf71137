#!/usr/bin/env bash
# What the business asked for, one check each (F1 to F9 of docs/seed-parity.md), against a running server. It may
# hold bookings already: every check speaks of the bookings that it makes itself.
source "$(dirname "$0")/lib.sh"

# Not drawn at random, so that its output is the same each time; big enough to be nobody's.
CUSTOMER=$((EPOCHSECONDS * 10 + 1))

say 'F1  a customer books a space'
request POST "$BOOKS/books" "{\"userid\":\"$CUSTOMER\",\"spacename\":\"numberone\",\"status\":\"booking\"}"
expect 'the answer' "$code" 201
first=$(json bookid)
expect 'its address' "$(header location)" "$BOOKS/books/$first"
expect 'status and phase' "$(json status) $(json phase)" 'booking paid'

say 'F2  the booking is paid, and earns points'
until_true 2 'the payment is success-pay' is "$PAYMENTS/payments/$first" status success-pay
expect 'asked and captured' "$(field "$PAYMENTS/payments/$first" amount) $(field "$PAYMENTS/payments/$first" captured)" '10000 10000'
until_true 2 'one percent of it in points' is "$GATEWAY/points/$CUSTOMER" points 100

say 'F3  a payment that is declined registers nothing'
request POST "$BOOKS/books" "{\"userid\":\"$CUSTOMER\",\"spacename\":\"declined\",\"status\":\"booking\"}"
expect 'the answer' "$code $(json type)" '402 /problems/payment-declined'
declined=$(header location); declined=${declined##*/}
until_true 2 'the booking is pay-failed' is "$BOOKS/books/$declined" status pay-failed
until_true 2 'the payment is pay-failed' is "$PAYMENTS/payments/$declined" status pay-failed
request GET "$SPACES/spaces/$declined"
expect 'its registration' "$code" 404

say 'F4  on approval the space is registered'
until_true 2 'the space is success-register' is "$SPACES/spaces/$first" status success-register
until_true 2 'the booking is success-register' is "$BOOKS/books/$first" status success-register

say 'F5  customer and manager follow it on My Page'
until_true 2 'My Page says Registered' is "$GATEWAY/mypages/$first" status Registered
request GET "$GATEWAY/mypages/$first/trace"
printf '%s' "$body" | python3 -c '
import json, sys
for e in json.load(sys.stdin)["events"]:
    print("  %-18s %-9s %-17s %s" % (e["event"], e["actor"], e["status"], e["note"] or ""))'
request GET "$GATEWAY/mypages?userid=$CUSTOMER&phase=registered"
expect 'rows of this customer that are registered' "$(json page.totalElements _embedded.mypages)" 1

say 'F7, F9  the customer cancels: payment, registration and points are undone'
request PATCH "$BOOKS/books/$first" '{"status":"cancel-booking"}'
expect 'the answer' "$code $(json status)" '200 cancel-booking'
until_true 2 'the payment is cancel-pay' is "$PAYMENTS/payments/$first" status cancel-pay
expect 'refunded' "$(field "$PAYMENTS/payments/$first" refunded)" 10000
until_true 2 'the space is cancel-register' is "$SPACES/spaces/$first" status cancel-register
until_true 2 'the booking is cancel-register' is "$BOOKS/books/$first" status cancel-register
until_true 2 'My Page says cancel-register' is "$GATEWAY/mypages/$first" status cancel-register
until_true 2 'no points are left' is "$GATEWAY/points/$CUSTOMER" points 0
request GET "$GATEWAY/mypages/$first/trace"
expect 'in the order of the seed' "$(printf '%s' "$body" | python3 -c '
import json, sys
events = [e["event"] for e in json.load(sys.stdin)["events"]]
print(*[e for e in events if e in ("Booked", "Approved", "Registered", "Bookcancelled", "Cancelled", "Registercancelled")])')" \
    'Booked Approved Registered Bookcancelled Cancelled Registercancelled'

say 'F7  cancelling again changes nothing'
request PATCH "$BOOKS/books/$first" '{"status":"cancel-booking"}'
expect 'the answer' "$code $(json status)" '200 cancel-register'
expect 'refunded' "$(field "$PAYMENTS/payments/$first" refunded)" 10000

say 'F8  every collection, on its own port and through the gateway'
for pair in "$BOOKS books" "$SPACES spaces" "$PAYMENTS payments" "$MYPAGES mypages"; do
    read -r service collection <<<"$pair"
    for address in "$service" "$GATEWAY"; do
        request GET "$address/$collection?size=1"
        expect "$address/$collection" "$code $(json _embedded | python3 -c 'import json,sys; print(*json.load(sys.stdin))')" "200 $collection"
    done
done
say 'passed'
