"""A generic webhook: signed JSON batches by POST.

The body is `{"sync": ..., "rows": [{"operation", "key", "fields"}]}`. A receiver checks
that `X-Mainstem-Signature` is `sha256=` + hex(HMAC-SHA256(secret, timestamp + "." + body)), where
timestamp is `X-Mainstem-Timestamp` (unix seconds), and forgets a batch whose
`Idempotency-Key` it has seen. It may answer row by row:
`{"results": [{"key", "status": "ok"|"error", "error", "code", "id"}]}`.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx

from reverse_etl.destination import (
    Batch,
    BatchAnswer,
    Capabilities,
    Destination,
    RejectError,
    RetryError,
    RowAnswer,
    StopError,
)

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0


class Webhook(Destination):
    capabilities = Capabilities(
        max_rows=10_000,
        default_rows=500,
        modes=frozenset({"upsert", "mirror"}),
        removal=True,
        connection_keys=frozenset({"url", "secret"}),
        optional_connection_keys=frozenset({"timeout_seconds"}),
        secret_keys=frozenset({"secret"}),
    )

    def __init__(self, connection: Mapping[str, str]) -> None:
        self._url = connection["url"]
        self._secret = connection["secret"].encode()
        if not self._url.startswith(("http://", "https://")):
            raise StopError("connection.url is not an http:// or https:// address", code="bad_url")
        if not self._secret:
            raise StopError(
                "connection.secret is empty: batches would go unsigned", code="no_secret"
            )
        try:
            seconds = float(connection.get("timeout_seconds", ANSWER_SECONDS))
        except ValueError as error:
            raise StopError(
                "connection.timeout_seconds is not a number", code="bad_timeout"
            ) from error
        self._timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))

    def __enter__(self) -> Self:
        self._client = httpx.Client(timeout=self._timeout, follow_redirects=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send(self, batch: Batch) -> BatchAnswer:
        body = body_of(batch)
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": batch.idempotency_key,
            "X-Mainstem-Timestamp": timestamp,
            "X-Mainstem-Signature": signature(self._secret, timestamp, body),
        }
        # httpx quotes the address in its messages, and an address may hold a token
        try:
            answer = self._client.post(self._url, content=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise RetryError(
                "the address in connection.url cannot be reached",
                code="unreachable",
                maybe_applied=False,
            ) from None
        except httpx.TimeoutException:
            raise RetryError(
                f"no answer within {self._timeout.read:g} s (connection.timeout_seconds)",
                code="timeout",
                maybe_applied=True,
            ) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise StopError("connection.url is not a usable address", code="bad_url") from None
        except httpx.HTTPError as error:
            raise RetryError(
                f"the connection broke ({type(error).__name__})",
                code="connection_lost",
                maybe_applied=True,
            ) from None
        _check(answer)
        return BatchAnswer(answer.status_code, len(body), _row_answers(answer))


def body_of(batch: Batch) -> bytes:
    """The request body; the fields are spliced in as the text that was planned and hashed."""
    rows = ",".join(
        f'{{"operation":"{row.operation}","key":{json.dumps(row.key, ensure_ascii=False)},'
        f'"fields":{row.fields}}}'
        for row in batch.rows
    )
    return f'{{"sync":{json.dumps(batch.sync_name)},"rows":[{rows}]}}'.encode()


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The value of `X-Mainstem-Signature` for a body sent at `timestamp` (unix seconds)."""
    return (
        "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    )


def _check(answer: httpx.Response) -> None:
    """Raise what a status outside 2xx means."""
    status = answer.status_code
    said = f"the receiver answered {status}"
    code = f"http_{status}"
    if answer.is_success:
        return
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise RetryError(
            said,
            code=code,
            http_status=status,
            maybe_applied=False,
            after_seconds=_retry_after(answer),
        )
    if status >= 500 or status in {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_EARLY}:
        raise RetryError(
            said,
            code=code,
            http_status=status,
            maybe_applied=True,
            after_seconds=_retry_after(answer),
        )
    if status in {401, 403}:
        raise StopError(f"{said}: look at connection.secret", code=code, http_status=status)
    if status in {404, 405, 410} or status < 400:
        raise StopError(f"{said}: look at connection.url", code=code, http_status=status)
    raise RejectError(said, code=code, http_status=status)


def _retry_after(answer: httpx.Response) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    given = answer.headers.get("Retry-After", "").strip()
    if not given:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        asked = float(parsedate_to_datetime(given).timestamp())
        return max(0.0, asked - time.time())
    except ValueError:
        return None


def _row_answers(answer: httpx.Response) -> dict[str, RowAnswer]:
    """What the answer says of single rows; an answer in another shape says nothing of any."""
    try:
        body = answer.json()
    except ValueError:
        return {}
    results = body.get("results") if isinstance(body, dict) else None
    if not isinstance(results, list):
        return {}
    return {str(result["key"]): _row_answer(result) for result in results if _is_result(result)}


def _is_result(result: Any) -> bool:
    return isinstance(result, dict) and "key" in result


def _row_answer(result: dict[str, Any]) -> RowAnswer:
    if result.get("status") == "error":
        code, error = result.get("code"), result.get("error")
        return RowAnswer(
            error_code=str(code) if code else "row_error",
            error=str(error) if error else "the receiver gave no reason",
        )
    remote_id = result.get("id")
    return RowAnswer(remote_id=str(remote_id) if remote_id is not None else None)
