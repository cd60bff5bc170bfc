"""AWS Signature Version 4 of a request, as the server computes it (AWS reference "Signing requests", path style)."""

import hashlib
import hmac
import re
from urllib.parse import parse_qsl, quote

from aiohttp import web

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<day>\d{8})/(?P<region>[^/]+)/s3/aws4_request, ?"
    r"SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})$"
)


def problem(request: web.Request, access_key: str, secret_key: str) -> str:
    """Why the signature is not right; empty where it is."""
    found = _HEADER.match(request.headers.get("Authorization", ""))
    if found is None:
        return "AccessDenied"
    if found["key"] != access_key:
        return "InvalidAccessKeyId"
    signed = found["headers"].split(";")
    sent_with = [name.lower() for name in request.headers if name.lower().startswith("x-amz-")]
    if "host" not in signed or not set(sent_with) <= set(signed):
        return "AccessDenied"
    at = request.headers.get("x-amz-date", "")
    scope = f"{found['day']}/{found['region']}/s3/aws4_request"
    to_sign = "\n".join(("AWS4-HMAC-SHA256", at, scope, hashlib.sha256(_canonical(request, signed)).hexdigest()))
    key = f"AWS4{secret_key}".encode()
    for part in (found["day"], found["region"], "s3", "aws4_request", to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return "" if hmac.compare_digest(key.hex(), found["signature"]) else "SignatureDoesNotMatch"


def _canonical(request: web.Request, signed: list[str]) -> bytes:
    path, _, query = request.raw_path.partition("?")
    pairs = sorted((quote(k, safe="-_.~"), quote(v, safe="-_.~")) for k, v in parse_qsl(query, keep_blank_values=True))
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in signed)
    lines = (
        request.method, path, "&".join(f"{k}={v}" for k, v in pairs), headers, ";".join(signed),
        request.headers.get("x-amz-content-sha256", ""),
    )  # fmt: skip
    return "\n".join(lines).encode()
