#!/bin/sh
# Two signed S3 requests: `s3 health` lists the application's bucket, `s3 enable-versioning` versions it.
set -eu
bucket=http://127.0.0.1:8333/minio-file
# On a tmpfs, so that each start of the container has to earn it again.
ready=/run/seaweedfs/versioned

# send ACCOUNT ARGUMENTS: the key travels by standard input, since everybody sees a command line.
send() {
  account=$1
  shift
  printf 'user = "%s:%s"\n' "$account" "$(cat "/run/secrets/s3_$account")" |
    curl --silent --show-error --fail --max-time 3 --aws-sigv4 aws:amz:us-east-1:s3 --config - "$@"
}

case $1 in
health)
  [ -e "$ready" ] || {
    echo "s3: expected the bucket to be versioned, observed that it is not yet"
    exit 1
  }
  send app "$bucket?list-type=2&max-keys=1" | grep --quiet '<ListBucketResult'
  ;;
enable-versioning)
  versioned='<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>'
  for _ in $(seq 600); do
    if send operator --request PUT --data "$versioned" "$bucket?versioning=" 2>/dev/null; then
      touch "$ready"
      exit
    fi
    sleep 0.2
  done
  echo "s3: expected the bucket to become versioned, observed no answer" >&2
  exit 1
  ;;
esac
