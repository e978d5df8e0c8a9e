#!/bin/bash
# Not exercised in CI. Standalone with embedded etcd, as Milvus documents it; images/milvus makes the accounts.
set -eu
mkdir -p /var/lib/milvus/etcd
cat > /milvus/configs/embedEtcd.yaml <<YAML
listen-client-urls: http://127.0.0.1:2379
advertise-client-urls: http://127.0.0.1:2379
quota-backend-bytes: 4294967296
auto-compaction-mode: revision
auto-compaction-retention: '1000'
YAML
export ETCD_CONFIG_PATH=/milvus/configs/embedEtcd.yaml
exec milvus run standalone
