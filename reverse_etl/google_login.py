"""Logins to Google's APIs without its SDK: a service account's key file, or a refresh token.

Both are a form that is POSTed for an access token, as "Using OAuth 2.0 for Server to Server
Applications" (RFC 7523) and "Using OAuth 2.0 for Web Server Applications" say.
"""

import base64
import json
import time
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from reverse_etl.destination import StopError

TOKEN_ADDRESS = "https://oauth2.googleapis.com/token"  # noqa: S105
SERVICE_ACCOUNT = "service_account"
REFRESH_KEYS = frozenset({"client_id", "client_secret", "refresh_token"})
LOGIN_KEYS = REFRESH_KEYS | {SERVICE_ACCOUNT}
# the longest that Google lets an assertion live
ASSERTION_SECONDS = 3600


def check_login(connection: Mapping[str, str]) -> None:
    """Raise StopError if a connection has neither of the two logins."""
    if not connection.get(SERVICE_ACCOUNT) and not all(map(connection.get, REFRESH_KEYS)):
        raise StopError(
            "there is no login: give connection.service_account (the path of a key file), or "
            "client_id, client_secret and refresh_token",
            code="no_login",
        )


def token_request(
    connection: Mapping[str, str], scope: str, address: str
) -> tuple[str, Mapping[str, str]]:
    """Where to get an access token and the form to POST there; StopError if the key file is no key.

    `address` is where a refresh token is taken; a key file names its own.
    """
    path = connection.get(SERVICE_ACCOUNT)
    if not path:
        form = {key: connection[key] for key in sorted(REFRESH_KEYS)}
        return address, {"grant_type": "refresh_token", **form}
    try:
        account = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        key = load_pem_private_key(account["private_key"].encode(), password=None)
        email, address = str(account["client_email"]), str(account["token_uri"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        # no cause: it may quote the file, and the file is a secret
        raise StopError(
            "connection.service_account does not name a service account's key file (JSON with "
            "private_key, client_email and token_uri)",
            code="bad_service_account",
        ) from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise StopError(
            "the private_key in connection.service_account is no RSA key",
            code="bad_service_account",
        )
    return address, {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": _assertion(key, email, address, scope),
    }


def _assertion(key: rsa.RSAPrivateKey, email: str, address: str, scope: str) -> str:
    """A JSON Web Token, signed with RS256, by which the service account asks for `scope`."""
    now = int(time.time())
    claims: dict[str, object] = {"iss": email, "scope": scope, "aud": address}
    claims |= {"iat": now, "exp": now + ASSERTION_SECONDS}
    signed = f"{_base64({'alg': 'RS256', 'typ': 'JWT'})}.{_base64(claims)}"
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_base64(signature)}"


def _base64(part: Mapping[str, object] | bytes) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
