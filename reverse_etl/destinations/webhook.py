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
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from reverse_etl import lines
from reverse_etl.answers import body_of, items_of
from reverse_etl.destination import Batch, Capabilities, RowAnswer
from reverse_etl.http import Call, HttpDestination


class Webhook(HttpDestination):
    capabilities = Capabilities(
        max_rows=10_000,
        default_rows=500,
        modes=frozenset({"upsert", "mirror"}),
        removal=True,
        connection_keys=frozenset({"url", "secret"}),
        optional_connection_keys=frozenset({"timeout_seconds"}),
        secret_keys=frozenset({"secret"}),
        parallel=4,
        repeats_in_parts=True,
    )

    address_key = "url"
    login_key = "secret"

    def __init__(self, connection: Mapping[str, str]) -> None:
        super().__init__(connection)
        self._secret = connection["secret"].encode()

    def calls(self, batch: Batch) -> Sequence[Call]:
        body = content_of(batch)
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": batch.idempotency_key,
            "X-Mainstem-Timestamp": timestamp,
            "X-Mainstem-Signature": signature(self._secret, timestamp, body),
        }
        return [Call("POST", self.connection["url"], body, headers)]

    def read(self, batch: Batch, response: httpx.Response) -> Mapping[str, RowAnswer]:
        """What the answer says of single rows; an answer in another shape says nothing of any."""
        found: dict[str, RowAnswer] = {}
        for result in items_of(body_of(response), "results"):
            key, answer = str(result.get("key")), _row_answer(result)
            # of a row that is spoken of twice, an error is not unsaid
            if key not in found or answer.error_code:
                found[key] = answer
        return found


def content_of(batch: Batch) -> bytes:
    """The request body; the fields are spliced in as the text that was planned and hashed."""
    rows = ",".join(lines.of(batch.rows))
    return f'{{"sync":{json.dumps(batch.sync_name)},"rows":[{rows}]}}'.encode()


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The value of `X-Mainstem-Signature` for a body sent at `timestamp` (unix seconds)."""
    return (
        "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    )


def _row_answer(result: dict[str, Any]) -> RowAnswer:
    status = str(result.get("status", "")).lower()
    # who says what is wrong and forgets the status has not accepted the row
    if status == "error" or (result.get("error") and status != "ok"):
        code, error = result.get("code"), result.get("error")
        return RowAnswer(
            error_code=str(code) if code else "row_error",
            error=str(error) if error else "the receiver gave no reason",
        )
    remote_id = result.get("id")
    return RowAnswer(remote_id=str(remote_id) if remote_id is not None else None)
