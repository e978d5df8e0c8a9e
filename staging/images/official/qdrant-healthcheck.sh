#!/bin/bash
# Not exercised in CI. The image has neither curl nor Python: an authenticated list of collections by hand.
set -eu
exec 3<>/dev/tcp/127.0.0.1/6333
printf 'GET /collections HTTP/1.0\r\napi-key: %s\r\n\r\n' "$(cat /run/secrets/qdrant_operator)" >&3
timeout 3 head -n 1 <&3 | grep -q ' 200'
