#!/bin/sh
# The Docker engine below the staging stacks.
#
#   engine.sh start            use the engine that answers; else install Debian's, and start it
#   engine.sh stop             stop the engine that `start` has started, unless a container runs on it
#   engine.sh install NAME...  install Debian packages
#
# .staging/dockerd.pid names the process that `start` has started: its id and its start time, which together name
# one process of this boot. No other engine is ever stopped.
set -eu
state=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)/.staging
record=$state/dockerd.pid log=$state/dockerd.log
run=/var/run
seconds=60
mkdir -p "$state"

fail() {
  printf '%s: expected %s, observed %s (from %s)\nHINT: %s\n' "$@" >&2
  exit 1
}

install() {
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    fail "missing packages" "root on Debian, who can install them" "user $(id -u)" "this machine" \
      "install $* yourself, start Docker and join its group, or run this as root on Debian"
  fi
  echo "engine: installing $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -q -o DPkg::Lock::Timeout=120 update
  apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@"
}

# The start time of process $1, in ticks since the boot; nothing if it has ended.
started() {
  sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 != "Z" { print $20 }'
}

answers() {
  timeout 10 docker ps --quiet 2>/dev/null
}

# Whether the file $1 has the id of a running process of program $2.
runs() {
  pid=$(cat "$1" 2>/dev/null) && [ -n "$(started "$pid")" ] && [ "$(cat "/proc/$pid/comm")" = "$2" ]
}

start() {
  exec 9>"$state/dockerd.starting"
  flock -w 900 9
  missing=
  command -v docker >/dev/null || missing="docker-cli"
  docker compose version >/dev/null 2>&1 || missing="$missing docker-compose"
  docker buildx version >/dev/null 2>&1 || missing="$missing docker-buildx"
  command -v git >/dev/null || missing="$missing git"
  # shellcheck disable=SC2086 # several words
  [ -z "$missing" ] || install $missing 9>&-
  answers >/dev/null && return
  [ -z "${DOCKER_HOST:-}" ] || fail "Docker engine" "an answer" "none" "DOCKER_HOST=$DOCKER_HOST" \
    "start that engine, or unset DOCKER_HOST to use one on this machine"
  [ "$(id -u)" -eq 0 ] || fail "Docker engine" "one that user $(id -un) may use" "$(docker ps 2>&1 | tail -n 1)" \
    "docker ps" "join its group and log in again: sudo usermod -aG docker $(id -un), or run this as root"
  if ! command -v dockerd >/dev/null; then
    install docker.io 9>&-
    # Without systemd the package itself starts the engine: it is as if it were started here.
    if [ ! -d /run/systemd/system ] && runs "$run/docker.pid" dockerd; then
      echo "$pid $(started "$pid")" >"$record"
    fi
  fi
  if ! runs "$run/docker.pid" dockerd; then
    # dockerd refuses to start while these files name any process, of whatever program.
    runs "$run/docker/containerd/containerd.pid" containerd || rm -f "$run/docker/containerd/containerd.pid"
    rm -f "$run/docker.pid"
    echo "engine: starting dockerd"
    # In a session of its own, where a Ctrl-C in this terminal does not reach it.
    setsid dockerd >"$log" 2>&1 </dev/null 9>&- &
    echo "$! $(started $!)" >"$record"
  fi
  for _ in $(seq "$seconds"); do
    answers >/dev/null && return
    runs "$run/docker.pid" dockerd || [ -n "$(started "$(cut -d' ' -f1 "$record")")" ] || break
    sleep 1
  done
  fail "Docker engine" "an answer within $seconds s" "none; its last lines: $(tail -n 5 "$log" 2>&1)" "$log" \
    "mend what the last line names, or start an engine yourself"
}

stop() {
  read -r pid began 2>/dev/null <"$record" || return 0
  if [ "$(started "$pid")" = "$began" ]; then
    # An engine that is too busy to answer is not known to have no containers.
    if ! running=$(answers) || [ -n "$running" ]; then
      echo "engine: left on for running containers: docker ps"
      return
    fi
    echo "engine: stopping dockerd"
    kill "$pid"
    for _ in $(seq $((5 * seconds))); do
      [ "$(started "$pid")" = "$began" ] || break
      sleep 0.2
    done
    [ "$(started "$pid")" != "$began" ] || kill -KILL "$pid"
  fi
  rm -f "$record"
}

"$@"
