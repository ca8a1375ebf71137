#!/usr/bin/env bash
# The payment gateway is too slow: a hundred customers book `braker`, whose charge takes 2.5 s where a customer waits
# for 2 s. The breaker opens, bookings are taken all the same and answered at once, and above PAYMENT_BACKLOG_MAX they
# are turned away with nothing stored. Then the load ends, and every accepted booking must be paid in the background,
# ten at a time. Uses a data folder and a server of its own, on the usual ports: none may be taken.
# LOAD_SECONDS=60, CUSTOMERS=100. With siege for the load, or without it with python.
source "$(dirname "$0")/lib.sh"
: "${LOAD_SECONDS:=60}" "${CUSTOMERS:=100}" "${BACKLOG_MAX:=300}"
command -v psql >/dev/null || fail 'this scenario needs psql'
[ -x "$SPACERENT" ] || fail "$SPACERENT is not there: cargo build --release"
DATA_DIR=$(mktemp -d "${TMPDIR:-/tmp}/spacerent-breaker.XXXXXX"); export DATA_DIR; chmod 755 "$DATA_DIR"
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$DATA_DIR"' EXIT
body='{"userId":"4","bookid":"4","spacename":"braker","status":"booking"}'

PAYMENT_BACKLOG_MAX=$BACKLOG_MAX RUST_LOG=error "$SPACERENT" --data-dir "$DATA_DIR" dev >"$DATA_DIR/log" 2>&1 &
until_true 30 'ready' curl -fsS "$BOOKS/readyz"

# One more customer, who books twenty times a second and measures; and a look at the breaker every 50 ms.
python3 - "$BOOKS" "$DATA_DIR/watching" "$body" "$DATA_DIR/seen" <<'PY' &
import http.client, json, os, re, sys, threading, time
from urllib.parse import urlsplit
url, flag, body, out = sys.argv[1:]
open(flag, "w").close()
host, began, lock = urlsplit(url).netloc, time.time(), threading.Lock()
seen = {"breaker": [], "answers": []}
def watch():
    c, last = http.client.HTTPConnection(host, timeout=10), None
    while os.path.exists(flag):
        c.request("GET", "/metrics"); text = c.getresponse().read().decode()
        state = re.search(r'^circuit_breaker_state\{name="inline"\} (\d)', text, re.M)[1]
        if state != last: seen["breaker"].append((time.time() - began, int(state))); last = state
        time.sleep(0.05)
def book():
    c = http.client.HTTPConnection(host, timeout=10)
    while os.path.exists(flag):
        at = time.time()
        c.request("POST", "/books", body, {"Content-Type": "application/json"})
        r = c.getresponse(); r.read()
        took = time.time() - at
        with lock: seen["answers"].append((at - began, took, r.status, r.getheader("X-Event-Position"), r.getheader("Retry-After")))
        time.sleep(max(0, 0.5 - took))
threads = [threading.Thread(target=t) for t in [watch] + [book] * 10]
for t in threads: t.start()
for t in threads: t.join()
json.dump(seen, open(out, "w"))
PY
watcher=$!
until_true 10 'somebody watches' test -e "$DATA_DIR/watching"

say "$CUSTOMERS customers for $LOAD_SECONDS s"
if command -v siege >/dev/null; then
    # Its 503 are answers, not failures to connect.
    printf 'verbose = true\nquiet = false\ncolor = off\nfailures = 100000000\njson_output = false\nlogging = false\nconnection = keep-alive\n' >"$DATA_DIR/siegerc"
    # It does not always find its end by itself.
    timeout --signal=KILL $((LOAD_SECONDS + 10)) siege -R "$DATA_DIR/siegerc" -c"$CUSTOMERS" -t"${LOAD_SECONDS}S" --content-type application/json \
        "$BOOKS/books POST $body" >"$DATA_DIR/siege" 2>&1 || true
    grep -aoE 'HTTP/1.[01] [0-9]+ +[0-9.]+ secs' "$DATA_DIR/siege" | awk '{print $2, $3}' >"$DATA_DIR/load"
else
    python3 - "$BOOKS" "$LOAD_SECONDS" "$CUSTOMERS" "$body" >"$DATA_DIR/load" <<'PY'
import http.client, sys, threading, time
from urllib.parse import urlsplit
url, seconds, customers, body = sys.argv[1:]
end, lines = time.time() + float(seconds), []
def book():
    c = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    while (at := time.time()) < end:
        c.request("POST", "/books", body, {"Content-Type": "application/json"})
        r = c.getresponse(); r.read(); lines.append(f"{r.status} {time.time() - at:.4f}")
threads = [threading.Thread(target=book) for _ in range(int(customers))]
for t in threads: t.start()
for t in threads: t.join()
print("\n".join(lines))
PY
fi
ended=$EPOCHREALTIME
rm "$DATA_DIR/watching"; wait "$watcher"

say 'answers'
python3 - "$DATA_DIR/load" "$DATA_DIR/seen" <<'PY'
import collections, json, sys
load = [(int(s), float(t)) for s, t in (line.split() for line in open(sys.argv[1]))]
seen = json.load(open(sys.argv[2]))
def p(times, share): times = sorted(times); return times[min(len(times) - 1, int(share * len(times)))] * 1000
def line(what, times):
    print(f"{what:<44}" + (f"{len(times):>8}   p50 {p(times, .5):8.1f} ms   p99 {p(times, .99):8.1f} ms   max {max(times) * 1000:8.1f} ms" if times else "       0"))
for status, count in sorted(collections.Counter(s for s, _ in load).items()):
    print(f"{status}  {count:>8}  {100 * count / len(load):6.2f} %")
line("of the load, all", [t for _, t in load])
changes = seen["breaker"] + [(float("inf"), None)]
def state(at): return next(s for (a, s), (b, _) in zip(changes, changes[1:]) if a <= at < b) if at >= changes[0][0] else 0
for status in (202, 503):
    line(f"of ten more customers, {status} while it was open",
         [took for at, took, s, _, _ in seen["answers"] if s == status and state(at) == 2 and state(at + took) == 2])
bad = [a for a in seen["answers"] if a[2] not in (201, 202, 503) or not a[4] and a[2] != 201 or a[2] == 202 and not a[3]]
print("answers without Retry-After or X-Event-Position, or of another kind:", len(bad))
print("the breaker: " + ", ".join(f"{at:.1f} s {('closed', 'half-open', 'open')[s]}" for at, s in seen["breaker"]))
if bad: sys.exit(f"FAILED: {bad[:3]}")
PY

say 'in the background'
accepted=$(sql "select count(*) from events where event_type = 'Booked'")
waiting=$(sql "select count(*) from jobs where state = 'open'")
printf '%s accepted, %s still to be paid\n' "$accepted" "$waiting"
paid() { [ "$(sql "select count(*) from events where event_type = 'Approved'")" = "$accepted" ]; }
until_true $((accepted + 60)) 'all of them are paid' paid
awk -v n="$waiting" -v from="$ended" -v to="$EPOCHREALTIME" 'BEGIN { printf "%d in %.1f s: %.1f a second\n", n, to - from, n / (to - from) }'

say 'turned away, and stored all the same'
answered=$(($(grep -cE '^(201|202|402) ' "$DATA_DIR/load") + $(python3 -c 'import json,sys; print(sum(a[2] < 500 for a in json.load(open(sys.argv[1]))["answers"]))' "$DATA_DIR/seen")))
# A load that ends cuts its last requests: those may be stored and not counted.
printf '%s stored, %s answered 2xx or 402\n' "$accepted" "$answered"
((accepted >= answered && accepted <= answered + CUSTOMERS)) || fail 'a booking that was turned away is stored, or one that was accepted is not'
docs/scenarios/checks.sh
