#!/bin/sh
# What runs first in the virtual machine: it says on the second serial line what came out.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
ip link set lo up
exec 3> /dev/ttyS1
stty -F /dev/ttyS1 raw
echo "kernel $(uname -r)" >&3

# The suites that compare what each call moved, byte by byte.
export L7TRACE_PROGRAMS=/bin L7TRACE_SKIPS=/dev/null
suite() {
    echo "== $1 $2"
    if timeout 150 "/bin/$1" --test-threads=1 $2 > /tmp/suite 2>&1; then result=passed; else result=failed; fi
    cat /tmp/suite
    echo "suite $3 $result" >&3
}
if grep -q btf_trace_sock_send_length /sys/kernel/btf/vmlinux; then
    suite syscalls_calls sock_sees_every_call sock
fi
suite syscalls_calls tracepoints_see_every_call tracepoints
suite syscalls_filters "--skip a_ring_too_small" filters

# The command itself: a server, a client, and a line for each exchange.
mkdir /tmp/www
i=0
while [ $i -lt $EXCHANGES ]; do
    head -c $((i * 97)) /dev/zero > /tmp/www/$i
    i=$((i + 1))
done
httpd -p 8080 -h /tmp/www
smoke() {
    echo "== l7trace $1 $2"
    : > /tmp/said
    : > /tmp/lines
    l7trace --source $1 ${2:+--engine $2} --output json --output-file /tmp/lines 2> /tmp/said &
    tracer=$!
    waited=0
    while ! grep -q tracing /tmp/said && kill -0 $tracer 2> /dev/null && [ $waited -lt 300 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    cat /tmp/said
    sed "s/^/said ${2:-$1} /" /tmp/said >&3
    kill -0 $tracer 2> /dev/null || return
    i=0
    while [ $i -lt $EXCHANGES ]; do
        wget -q -O /dev/null "http://127.0.0.1:8080/$i" || echo "wget $i failed"
        i=$((i + 1))
    done
    sleep 0.3
    kill $tracer
    wait $tracer
    sed "s/^/line ${2:-$1} /" /tmp/lines >&3
}
smoke packets
smoke syscalls sock
smoke syscalls tracepoints
smoke auto
echo "done $(cut -d ' ' -f 1 /proc/uptime)" >&3
poweroff -f
