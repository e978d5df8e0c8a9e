#!/bin/sh
# The broker reads its S3 key from the environment only.
set -eu
AWS_SECRET_ACCESS_KEY=$(cat /run/secrets/s3_kafka)
export AWS_SECRET_ACCESS_KEY
exec tansu broker "$@"
