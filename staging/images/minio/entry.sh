#!/bin/sh
# State the keys, switch versioning on in the background once the server answers, and become the server.
# Telemetry, the admin pages, WebDAV, Iceberg and Lance are off: nothing here needs them, and none may call out.
set -eu
run=/run/seaweedfs
mkdir -p /data "$run"
secret() { cat "/run/secrets/$1"; }
umask 077
cat > "$run/identities.json" <<JSON
{"identities": [
  {"name": "operator", "credentials": [{"accessKey": "operator", "secretKey": "$(secret s3_operator)"}],
   "actions": ["Admin", "Read", "List", "Write", "Tagging"]},
  {"name": "app", "credentials": [{"accessKey": "app", "secretKey": "$(secret s3_app)"}],
   "actions": ["Read:minio-file", "List:minio-file", "Write:minio-file", "Tagging:minio-file"]},
  {"name": "reader", "credentials": [{"accessKey": "reader", "secretKey": "$(secret s3_reader)"}],
   "actions": ["Read:minio-file*", "List:minio-file*"]},
  {"name": "kafka", "credentials": [{"accessKey": "kafka", "secretKey": "$(secret s3_kafka)"}],
   "actions": ["Read:tansu", "List:tansu", "Write:tansu"]}
]}
JSON
s3 enable-versioning &
exec weed mini -dir=/data -ip=127.0.0.1 -ip.bind=0.0.0.0 -bucket=minio-file,tansu \
  -s3.config="$run/identities.json" -master.telemetry=false -admin.ui=false -webdav=false \
  -s3.port.iceberg=0 -s3.port.lance=0 "$@"
