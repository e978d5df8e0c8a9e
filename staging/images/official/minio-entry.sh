#!/bin/bash
# Not exercised in CI. MinIO, with the bucket and the keys app and reader stated by mc once it answers.
set -eu
policy() {
  printf '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":%s,"Resource":"arn:aws:s3:::%s"}]}' "$1" "$2"
}
state_accounts() {
  until timeout 5 mc --quiet alias set operator http://127.0.0.1:8333 operator "$(cat /run/secrets/s3_operator)"; do
    sleep 1
  done
  mc mb --ignore-existing operator/minio-file
  mc version enable operator/minio-file
  policy '["s3:*"]' 'minio-file*' > /run/minio/app.json
  policy '["s3:Get*","s3:List*"]' 'minio-file*' > /run/minio/reader.json
  for user in app reader; do
    mc admin user add operator "$user" "$(cat "/run/secrets/s3_$user")"
    mc admin policy create operator "rollproof-$user" "/run/minio/$user.json"
    # Attaching what is attached already is an error for mc; the healthcheck shows whether it is attached.
    mc admin policy attach operator "rollproof-$user" --user "$user" || echo "policy of $user: not attached anew"
  done
  mc --quiet alias set app http://127.0.0.1:8333 app "$(cat /run/secrets/s3_app)"
  touch /run/minio/ready
}
state_accounts &
exec minio server /data --address :8333
