#!/usr/bin/env bash
# A million events (EVENTS) on a server of its own. While bookings are made and pages are read: My Page is rebuilt and
# switched, rolled back, damaged by hand and healed, and rebuilt once more with a `kill -9` in the middle. Readers must
# see every page whole and right all the time, and what was booked meanwhile must be paid, registered and shown.
source "$(dirname "$0")/lib.sh"
: "${EVENTS:=1000000}"
command -v psql >/dev/null || fail 'this scenario needs psql'
[ -x "$SPACERENT" ] || fail "$SPACERENT is not there: cargo build --release"
DATA_DIR=$(mktemp -d "${TMPDIR:-/tmp}/spacerent-rebuild.XXXXXX"); export DATA_DIR; chmod 755 "$DATA_DIR"
trap 'rm -f "$DATA_DIR/working"; kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$DATA_DIR"' EXIT

# Not a function: what it runs in the background is to have the number that `kill` is given.
export RUST_LOG=warn
spacerent=("$SPACERENT" --data-dir "$DATA_DIR")
start() {
    "${spacerent[@]}" dev >>"$DATA_DIR/log" 2>&1 &
    server=$!
    until_true 60 'ready' curl -fsS "$BOOKS/readyz"
}
# member FILE NAME...: members of the JSON document in a file.
member() {
    python3 -c '
import json, sys
document = json.load(open(sys.argv[1]))
print(*(json.dumps(document[name]) for name in sys.argv[2:]))' "$@"
}
told() {
    printf '%s: %s events in %s s, %s events/s, readers held for %s s\n' "$1" \
        $(member "$DATA_DIR/report" events seconds events_per_second switch_lock_seconds)
}
# replays WHAT OPTIONS...: a replay of My Page whose document is kept.
replays() {
    local what=$1; shift
    "${spacerent[@]}" replay mypage --json "$@" >"$DATA_DIR/report" || fail "$what: $(cat "$DATA_DIR/report")"
}
settled() { [ "$(sql "select count(*) from jobs where state = 'open'")" = 0 ] && [ "$(sql "
    select count(*) from followers f left join projections p using (name, generation)
    where coalesce(p.state, 'live') = 'live' and f.position < (select max(position) from events)")" = 0 ]; }

say "A journal of $EVENTS events: one booking's story, played and told again"
start
request POST "$BOOKS/books" '{"userid":1,"spacename":"numberone"}'; expect 'booking 1' "$code" 201
until_true 20 'it is registered' is "$BOOKS/books/1" status success-register
until_true 20 'all of it is on My Page' settled
request DELETE "$BOOKS/books/1"
until_true 20 'it is cancelled to its end' is "$BOOKS/books/1" status cancel-register
until_true 20 'all of it is on My Page' settled
kill "$server"; wait "$server" || true
# The local server runs as long as somebody uses it.
"${spacerent[@]}" watch --interval 60 >"$DATA_DIR/watched" &
watching=$!
until_true 30 'the local server runs' sql 'select'
# 3 x 6 events and 1 x 12 for every four bookings.
bookings=$(( EVENTS * 4 / 30 ))
sql "prepare retell(bigint, bigint, bigint, bigint) as $(cat bench/src/rebuild/retell.sql);
     execute retell($bookings, 6, 4, 5000);
     do \$\$ begin perform setval('book_ids', $bookings); end \$\$;
     -- These bookings are settled: the saga begins behind them.
     update followers set position = (select max(position) from events) where name = 'orders'"
sql 'vacuum analyze events'
printf '%s events of %s bookings\n' "$(sql 'select count(*) from events')" "$bookings"
for name in books payments spaces points calendar; do
    "${spacerent[@]}" replay $name --json >"$DATA_DIR/report" || fail "$(cat "$DATA_DIR/report")"
    told "$name, before anybody looks"
done
replays 'the first one'; told 'mypage, before anybody looks'
start
kill "$watching"

say 'Customers book, and look at pages'
touch "$DATA_DIR/working"
python3 - "$DATA_DIR/working" "$DATA_DIR/seen" "$BOOKS" "$MYPAGES" <<'PY' &
import http.client, json, os, sys, threading, time
from urllib.parse import urlsplit
flag, path, books, mypages = sys.argv[1:]
lock, faults = threading.Lock(), []
counts, slowest, last = {"booked": 0, "read": 0}, {"booked": 0, "read": 0}, [None]
def call(address, method, target, body=None):
    c = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    c.request(method, target, body, {"Content-Type": "application/json", "Accept": "*/*"})
    r = c.getresponse()
    return r.status, r.headers, r.read()
def fault(what):
    with lock: faults.append(f"{time.time():.3f} {what}")
def timed(kind, work):
    while os.path.exists(flag):
        began = time.monotonic()
        try: work()
        except Exception as error: fault(f"{kind}: {error!r}")
        with lock:
            counts[kind] += 1
            slowest[kind] = max(slowest[kind], time.monotonic() - began)
        time.sleep(0.01)
def book():
    status, headers, body = call(books, "POST", "/books", '{"userid":7,"spacename":"numberseven"}')
    if status == 201: last[0] = (json.loads(body)["bookid"], headers["X-Event-Position"])
    else: fault(f"booking: {status} {body[:200]}")
old = {n: call(mypages, "GET", f"/mypages/{n}")[2] for n in (1, 7, 4711)}
story = call(mypages, "GET", "/mypages/7/trace")[2]
def read():
    for n, wanted in old.items():
        status, _, body = call(mypages, "GET", f"/mypages/{n}")
        if (status, body) != (200, wanted): fault(f"page {n}: {status} {body[:200]}")
    status, _, body = call(mypages, "GET", "/mypages/7/trace")
    if (status, body) != (200, story): fault(f"story 7: {status} {body[:200]}")
    status, _, body = call(mypages, "GET", "/mypages?size=50")
    found = json.loads(body).get("_embedded", {}).get("mypages", [])
    if status != 200 or len(found) != 50: fault(f"list: {status}, {len(found)} rows")
    if last[0]:
        n, position = last[0]
        status, headers, body = call(mypages, "GET", f"/mypages/{n}?min_position={position}")
        behind = headers["X-Projection-Lag"]
        if status != 200 and not behind: fault(f"own page {n}: {status} {body[:200]}")
threads = [threading.Thread(target=timed, args=a) for a in [("booked", book)] * 2 + [("read", read)] * 2]
[t.start() for t in threads]; [t.join() for t in threads]
with open(path, "w") as out:
    print(*faults, sep="\n", file=out)
print("%d bookings, the slowest %.0f ms; %d rounds of six pages, the slowest %.0f ms; %d faults" % (
    counts["booked"], slowest["booked"] * 1000, counts["read"], slowest["read"] * 1000, len(faults)))
PY
customers=$!

say 'Rebuilt and switched meanwhile'
replays 'the rebuild'; told 'mypage'
expect 'verified, switched, differences' "$(member "$DATA_DIR/report" verified switched differences)" 'true true []'

say 'Rolled back'
replays 'the roll-back' --rollback; told 'mypage'
expect 'switched, differences' "$(member "$DATA_DIR/report" switched differences)" 'true []'

say 'kill -9 in the middle of a rebuild, and the same command again'
"${spacerent[@]}" replay mypage >"$DATA_DIR/killed" 2>&1 &
rebuilding=$!
half_built() { [ "$(sql "select min(position) > $EVENTS / 4 from followers join projections using (name, generation)
    where state = 'building'")" = t ]; }
until_true 120 'a quarter is built' half_built
kill -9 "$rebuilding"; wait "$rebuilding" 2>/dev/null || true
resumes() { "${spacerent[@]}" replay mypage --json >"$DATA_DIR/report" 2>"$DATA_DIR/said"; }
until_true 120 'the same command, once the server noticed that the first one is gone' resumes
cat "$DATA_DIR/said"; told 'mypage'
expect 'verified, switched, differences' "$(member "$DATA_DIR/report" verified switched differences)" 'true true []'

rm "$DATA_DIR/working"; wait "$customers"
expect 'faults that readers and customers saw' "$(sed '/^$/d' "$DATA_DIR/seen" | head -n 5)" ''

say 'A row is damaged by hand'
generation=$(sql "select generation from projections where name = 'mypage' and state = 'live'")
sql "update mypage_$generation.mypages set status = 'paid twice' where bookid = 4711"
if "${spacerent[@]}" replay mypage --verify --json >"$DATA_DIR/report"; then fail '--verify ended with status 0'; fi
expect '--verify names' "$(python3 -c '
import json, sys
for found in json.load(open(sys.argv[1]))["differences"]:
    print(found["table"], found["key"], found["live"]["status"], "->", found["rebuilt"]["status"])' "$DATA_DIR/report")" \
    'mypages 4711 paid twice -> Registered'
replays 'the rebuild'; told 'mypage'
expect 'differences healed' "$(python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["differences"]))' "$DATA_DIR/report")" 1
replays 'another look' --verify
expect 'differences now' "$(member "$DATA_DIR/report" differences)" '[]'

say 'What was booked meanwhile'
until_true 120 'no open job, every follower at the head' settled
expect 'bookings of this run that are not paid, registered and shown' "$(sql "
    select count(*) from events e where e.event_type = 'Booked' and e.aggregate_id::bigint > $bookings and not exists (
        select from mypage.mypages m where m.bookid = e.aggregate_id::bigint and m.status = 'Registered')")" 0
say 'passed'
