# Stops a server when the last process that uses it is gone, however it went.
#
# Standard input is a pipe whose other end the process that started us keeps open and never writes to: its
# end is the end of that process. Then this script leaves the server as that process would have done itself
# (see lock.rs): with `start.lock` held, whoever gets the whole of `users.lock` was the last one.
#
# $1 the server's folder   $2 its cluster name   $3 seconds to linger   $4 a folder to remove with it, or ''
trap '' HUP INT TERM
# Opened at once: the folder may be gone by the time its server has to go.
exec 8>> "$1/start.lock" 9>> "$1/users.lock"
cat > /dev/null
sleep "$3"

# Locks the file behind descriptor $1 if nobody else holds it. macOS has perl instead of flock.
try_lock() {
    if command -v flock > /dev/null; then
        flock -n "$1"
    elif command -v perl > /dev/null; then
        perl -e 'use Fcntl ":flock"; open(my $file, ">>&=", $ARGV[0]) or exit 1;
            flock($file, LOCK_EX | LOCK_NB) or exit 1' "$1"
    else
        exit 1 # the next start adopts the server
    fi
}

# The server's processes, by their titles: a recycled process id must not cost a stranger's life. The brackets
# keep the search from finding itself.
pattern="[c]luster_name=$2|[p]ostgres: $2"
processes() {
    if [ -d /proc/self ]; then
        grep -laE "$pattern" /proc/[0-9]*/cmdline 2> /dev/null | tr -dc '0-9\n'
    else
        ps -axww -o pid=,command= | grep -E "$pattern" | while read -r pid rest; do echo "$pid"; done
    fi
}

signal() {
    for pid in $(processes); do
        kill "-$1" "$pid" 2> /dev/null
    done
}

tries=0
until try_lock 8; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || exit 1
    sleep 1
done
try_lock 9 || exit 0

signal CONT # a frozen server would hear nothing else
postmaster=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null)
if [ -z "$4" ] && processes | grep -qx "$postmaster"; then
    kill -INT "$postmaster"
else
    signal QUIT # its data goes or is gone: no last checkpoint
fi
tries=0
while [ -n "$(processes)" ] && [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
if [ -n "$4" ]; then
    signal KILL
    # A killed postmaster leaves its key to the shared memory; nobody will start on this folder and free it.
    sed -n 7p "$1/data/postmaster.pid" 2> /dev/null | { read -r key id && ipcrm -m "$id"; }
    rm -rf "$4"
fi
