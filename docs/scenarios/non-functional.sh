#!/usr/bin/env bash
# How well it does it (N1 to N4 of docs/seed-parity.md), against a running server; it needs psql and the settings'
# defaults. What stops parts of the system brings a server of its own: breaker.sh, outages.sh, crash-drill.sh.
source "$(dirname "$0")/lib.sh"

# load CLIENTS REQUESTS METHOD URL [BODY]: prints how often each status came, and times in ms.
load() {
    python3 - "$@" <<'PY'
import http.client, sys, threading, time, urllib.parse, collections
clients, requests, method, url = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], urllib.parse.urlsplit(sys.argv[4])
body = sys.argv[5] if len(sys.argv) > 5 else None
todo, lock, seen = iter(range(requests)), threading.Lock(), []
def client():
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
    while True:
        with lock:
            if next(todo, None) is None: return
        began = time.monotonic()
        connection.request(method, url.path, body, {"Content-Type": "application/json", "Accept": "*/*"})
        answer = connection.getresponse(); answer.read()
        seen.append((answer.status, (time.monotonic() - began) * 1000))
threads = [threading.Thread(target=client) for _ in range(clients)]
[t.start() for t in threads]; [t.join() for t in threads]
times = sorted(t for _, t in seen)
at = lambda share: times[min(len(times) - 1, int(len(times) * share))]
print(*("%d:%d" % pair for pair in sorted(collections.Counter(s for s, _ in seen).items())), "p50=%.0f p95=%.0f p99=%.0f" % (at(.5), at(.95), at(.99)))
PY
}
# within NAME LINE MAX: that the figure NAME of a line of load is at most MAX.
within() {
    local found; found=$(grep -oP "$1=\K\d+" <<<"$2")
    printf '%-64s %s ms (at most %s)\n' "$1" "$found" "$3"
    [ "$found" -le "$3" ] || fail "$1"
}
breaker() { curl -fsS "$PAYMENTS/metrics" | grep -oP '^circuit_breaker_state\{[^}]*name="inline"[^}]*\} \K\d'; }
breaker_is() { [ "$(breaker)" = "$1" ]; }

say 'N1  nothing is registered without an approved payment'
for _ in 1 2 3 4 5; do request POST "$BOOKS/books" '{"userid":1,"spacename":"declined"}'; expect 'a declined card' "$code" 402; done
expect 'registrations without an approval before them' "$(sql "
    select count(*) from events r where r.event_type = 'Registered' and not exists (
        select from events a where a.aggregate_id = r.aggregate_id and a.event_type = 'Approved' and a.position < r.position)")" 0

say 'N2  a payment that takes too long: the booking is taken, and paid later'
request POST "$BOOKS/books" '{"userid":1,"spacename":"braker"}'
expect 'the answer' "$code $(json status) $(json phase), come back in $(header retry-after) s" '202 Timeout payment_pending, come back in 5 s'
slow=$(json bookid)
until_true 10 'it is paid and registered by itself' is "$BOOKS/books/$slow" status success-register
request GET "$GATEWAY/mypages/$slow/trace"
expect 'in this order' "$(printf '%s' "$body" | python3 -c '
import json, sys
print(*[e["event"] for e in json.load(sys.stdin)["events"]])')" \
    'Booked PaymentRequested PaymentDeferred Approved PointsAccrued Registered BookConfirmed'

say 'N3  an overloaded payment: customers are told to come back, at once'
until_true 20 'the breaker is closed' breaker_is 0
line=$(load 40 60 POST "$BOOKS/books" '{"userid":1,"spacename":"braker"}')
printf '60 slow payments by 40 customers at once: %s\n' "$line"
breaker_is 2 || fail 'the breaker did not open'
line=$(load 8 200 POST "$BOOKS/books" '{"userid":1,"spacename":"braker"}')
printf '200 more while it is open: %s\n' "$line"
expect 'all of them taken' "$(grep -oP '^202:200(?= )' <<<"$line")" '202:200'
within p99 "$line" 50
books_again() { request POST "$BOOKS/books" '{"userid":1,"spacename":"numberone"}'; [ "$code" = 201 ]; }
until_true 30 'a good payment closes it: 201 again' books_again
breaker_is 0 || fail 'the breaker is not closed'

say 'N3  and every one of them is paid in the end'
CONVERGE_SECONDS=180 docs/scenarios/checks.sh | grep -v '^$'

say 'N4  My Page: one read of its own table, and the same when rebuilt'
line=$(load 4 2000 GET "$MYPAGES/mypages/$slow")
printf '2,000 reads by 4 customers: %s\n' "$line"
within p95 "$line" 50
"$SPACERENT" ${DATA_DIR:+--data-dir "$DATA_DIR"} replay mypage --verify
say 'passed'
