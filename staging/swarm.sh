#!/bin/sh
# A Docker Swarm of two nodes on this machine: two of Debian's dockerd, each in its own namespaces.
#
#   swarm.sh up            start the nodes node-a (the manager) and node-b, join them; what is left of earlier ones goes first
#   swarm.sh start NODE    start a node that was killed, with its data
#   swarm.sh kill NODE     end a node as a failure of its power would: it, and every process of its containers
#   swarm.sh down          end both nodes; nothing of them stays
#
# The first process of a node's PID namespace is its dockerd's parent: whatever runs there ends with it. ROLLPROOF_SLOT
# tells swarms apart. The folder that `up` prints has a docker configuration with a context for each node, by its name.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) root=${here%/staging}
slot=${ROLLPROOF_SLOT:-1}
name=rollproof-swarm-$slot
state=$root/.staging/swarm-$slot
net=10.214.$slot
seconds=60
export DOCKER_CONFIG="$state/config"
unset DOCKER_HOST DOCKER_CONTEXT

fail() {
  printf '%s: expected %s, observed %s (from %s)\nHINT: %s\n' "$@" >&2
  exit 1
}

# Node $1 is the process in this file, if it still is that process.
process() {
  read -r pid began 2>/dev/null <"$state/$1/process" || return 1
  [ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }')" = "$began" ]
}

# What a node runs first, in its own namespaces: the engine, with a /run and a /sys of its own.
node() {
  mkdir -p "$state/$1/cgroups"
  hostname "$1"
  mount --make-rprivate /
  mount --rbind /sys/fs/cgroup "$state/$1/cgroups"
  mount -t sysfs sysfs /sys
  mount --rbind "$state/$1/cgroups" /sys/fs/cgroup
  mount -t tmpfs tmpfs /run
  dockerd --host "unix://$state/$1/docker.sock" --data-root "$state/$1/data" --cgroup-parent "/$name/$1" \
    --shutdown-timeout 1 >"$state/$1/dockerd.log" 2>&1
}

start() {
  rm -f "$state/$1/docker.sock"
  setsid nsenter --net="/run/netns/$name-$1" \
    unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc "$here/swarm.sh" node "$1" \
    >"$state/$1/start.log" 2>&1 </dev/null 9>&- &
  echo "$! $(sed 's/.*) //' "/proc/$!/stat" | awk '{ print $20 }')" >"$state/$1/process"
  for _ in $(seq $((5 * seconds))); do
    timeout 10 docker --context "$1" version >/dev/null 2>&1 && return
    process "$1" || break
    sleep 0.2
  done
  fail "node $1 of the swarm" "an answer within $seconds s" "none; its last lines: $(tail -n 5 "$state/$1"/*.log)" \
    "$state/$1" "mend what the last line names; namespaces need root, or a container with --privileged"
}

kill_node() {
  process "$1" || return 0
  kill -KILL "$pid"
  for _ in $(seq 100); do
    process "$1" || break
    sleep 0.1
  done
}

up() {
  down
  mkdir -p "$state/node-a" "$state/node-b" "$DOCKER_CONFIG"
  # Without this file the SDK of Python reads the user's own contexts.
  echo '{}' >"$DOCKER_CONFIG/config.json"
  for node in node-a node-b; do
    ip netns add "$name-$node"
    ip -n "$name-$node" link set lo up
    docker context create "$node" --docker "host=unix://$state/$node/docker.sock" >/dev/null
  done
  # Each two of this machine and the nodes have a network, without a bridge: nothing is forwarded here.
  ip link add "rps$slot-node-a" type veth peer name host netns "$name-node-a"
  ip link add "rps$slot-node-b" type veth peer name host netns "$name-node-b"
  ip -n "$name-node-a" link add peer type veth peer name peer netns "$name-node-b"
  ip address add "$net.1/30" dev "rps$slot-node-a"
  ip -n "$name-node-a" address add "$net.2/30" dev host
  ip address add "$net.5/30" dev "rps$slot-node-b"
  ip -n "$name-node-b" address add "$net.6/30" dev host
  ip -n "$name-node-a" address add "$net.9/30" dev peer
  ip -n "$name-node-b" address add "$net.10/30" dev peer
  for node in node-a node-b; do
    ip link set "rps$slot-$node" up
    ip -n "$name-$node" link set host up
    ip -n "$name-$node" link set peer up
  done
  # This machine reaches the nodes by the addresses by which they know each other.
  ip -n "$name-node-a" route add "$net.6" via "$net.10" src "$net.2"
  ip -n "$name-node-b" route add "$net.2" via "$net.9" src "$net.6"
  start node-a
  start node-b
  docker --context node-a swarm init --advertise-addr "$net.2" >/dev/null
  docker --context node-b swarm join --advertise-addr "$net.6" --token "$(docker --context node-a swarm join-token -q worker)" \
    "$net.2:2377" >/dev/null
  echo "$DOCKER_CONFIG"
}

down() {
  for node in node-b node-a; do
    kill_node "$node"
    ip link delete "rps$slot-$node" 2>/dev/null || true
    ip netns delete "$name-$node" 2>/dev/null || true
  done
  find /sys/fs/cgroup -depth -type d -path "*/$name*" -exec rmdir {} + 2>/dev/null || true
  rm -rf "$state"
}

case ${1-} in
  node) node "$2" ;;
  up | down | start | kill)
    mkdir -p "$root/.staging"
    exec 9>"$root/.staging/swarm-$slot.lock"
    flock -w 300 9
    case $1 in
      kill) kill_node "$2" ;;
      *) "$@" ;;
    esac
    ;;
  *) fail "swarm.sh" "up, down, start NODE or kill NODE" "$*" "the command line" "see the first lines of $0" ;;
esac
