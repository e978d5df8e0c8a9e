#!/usr/bin/python3
"""Two signed S3 requests: `s3 health` lists the application's bucket, `s3 enable-versioning` versions it.

Signed by hand (AWS Signature Version 4) so that the image needs no client library.
"""

from __future__ import annotations

import hashlib
import hmac
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

HOST = "127.0.0.1:8333"
BUCKET = "minio-file"
REGION = "us-east-1"
DEADLINE_SECONDS = 3
WITHIN_SECONDS = 120
# On a tmpfs, so that each start of the container has to earn it again.
READY = Path("/run/seaweedfs/versioned")
VERSIONED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


def signature(method: str, query: str, digest: str, moment: str, secret: str) -> str:
    """Return the signature of one request to the bucket's root."""
    day = moment[:8]
    headers = f"host:{HOST}\nx-amz-content-sha256:{digest}\nx-amz-date:{moment}\n"
    canonical = f"{method}\n/{BUCKET}\n{query}\n{headers}\nhost;x-amz-content-sha256;x-amz-date\n{digest}"
    scope = f"{day}/{REGION}/s3/aws4_request"
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (day, REGION, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashed}".encode(), "sha256").hex()


def send(account: str, method: str, query: str, body: bytes = b"") -> bytes:
    """Send one request as `account` and return the body of its answer."""
    secret = Path(f"/run/secrets/s3_{account}").read_text()
    moment = datetime.now(tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
    signed = signature(method, query, digest, moment, secret)
    request = urllib.request.Request(
        f"http://{HOST}/{BUCKET}?{query}",
        data=body or None,
        method=method,
        headers={
            "x-amz-date": moment,
            "x-amz-content-sha256": digest,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={account}/{scope}, "
            f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signed}",
        },
    )
    with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content


def health() -> int:
    """Healthy: the application's own key lists its bucket, which was versioned before anybody used it."""
    if not READY.exists():
        print(f"s3: expected {BUCKET} to be versioned, observed that it is not yet")
        return 1
    try:
        listing = send("app", "GET", "list-type=2&max-keys=1")
    except OSError as error:
        print(f"s3: expected a listing of {BUCKET}, observed {error!r}")
        return 1
    if b"<ListBucketResult" not in listing:
        print(f"s3: expected a listing of {BUCKET}, observed another answer")
        return 1
    return 0


def enable_versioning() -> int:
    """Version the bucket as soon as the server answers."""
    give_up = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            send("operator", "PUT", "versioning=", VERSIONED)
        except OSError as error:
            if time.monotonic() > give_up:
                print(f"s3: expected {BUCKET} to become versioned, observed {error!r}", file=sys.stderr)
                return 1
            time.sleep(0.2)
        else:
            READY.touch()
            print(f"s3: {BUCKET} keeps versions")
            return 0


if __name__ == "__main__":
    sys.exit({"health": health, "enable-versioning": enable_versioning}[sys.argv[1]]())
