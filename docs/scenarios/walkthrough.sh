#!/usr/bin/env bash
# The seed's own walk-through, verbatim, against a fresh `spacerent dev`: seven httpie commands, and the statuses
# that each resource must show within a second.
source "$(dirname "$0")/lib.sh"
command -v http >/dev/null || fail 'this scenario needs httpie (apt-get install httpie)'
quietly() { http --ignore-stdin --check-status --body "$@"; }

say 'a booking'
http --ignore-stdin --check-status POST http://localhost:8081/books userid="1" bookid="1" spacename="numberone" status="booking"
until_true 1 'payment 1 is success-pay' is "$PAYMENTS/payments/1" status success-pay
until_true 1 'space 1 is success-register' is "$SPACES/spaces/1" status success-register
until_true 1 'book 1 is success-register' is "$BOOKS/books/1" status success-register
until_true 1 'My Page says Registered' is "$GATEWAY/mypages/1" status Registered
quietly GET http://localhost:8083/payments/1
quietly GET http://localhost:8082/spaces/1

say 'a second one, cancelled'
quietly POST http://localhost:8081/books userid="2" bookid="2" spacename="numberone" status="booking"
until_true 1 'book 2 is success-register' is "$BOOKS/books/2" status success-register
quietly PATCH http://localhost:8081/books/2 status="cancel-booking"
until_true 1 'payment 2 is cancel-pay' is "$PAYMENTS/payments/2" status cancel-pay
until_true 1 'space 2 is cancel-register' is "$SPACES/spaces/2" status cancel-register
until_true 1 'book 2 is cancel-register' is "$BOOKS/books/2" status cancel-register
until_true 1 'My Page says cancel-register' is "$GATEWAY/mypages/2" status cancel-register
quietly GET http://localhost:8083/payments/2
quietly GET http://localhost:8082/spaces/2

say 'every collection through the gateway'
for collection in books payments spaces mypages; do quietly GET "http://localhost:8088/$collection"; done
say 'passed'
