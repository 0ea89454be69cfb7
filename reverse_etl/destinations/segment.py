"""Segment: `track` events in mode `events`, else `identify` calls that carry a person's traits.

`POST /v1/batch`, 500 KB a request and 32 KB a message. `messageId` follows from what is said, so
that Segment drops what it is told twice: of an event from the sync and the row key, of traits from
those, the run and the traits (traits that change and change back are three messages).

Read in Segment's documentation: "HTTP API source" (batch, limits, login, errors, deduplication) and
"Spec: Track", "Spec: Identify". For the EU workspace set `base_url` to
https://events.eu1.segmentapis.com.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from reverse_etl.destination import Batch, BatchAnswer, Capabilities, Job, Row, RowAnswer
from reverse_etl.http import COMMON_KEYS, Call, HttpDestination, compact

MESSAGE_BYTES = 32 * 1024
# fields that stand in a message itself; every other one is a property of the event, or a trait
OWN_FIELDS = {"user_id": "userId", "anonymous_id": "anonymousId", "timestamp": "timestamp"}
EVENT = "event"


class Segment(HttpDestination):
    capabilities = Capabilities(
        max_rows=2_500,
        default_rows=500,
        modes=frozenset({"events", "upsert", "add_only"}),
        removal=False,
        connection_keys=frozenset({"write_key"}),
        optional_connection_keys=COMMON_KEYS | {EVENT},
        secret_keys=frozenset({"write_key"}),
        one_of_fields=frozenset({"user_id", "anonymous_id"}),
        max_bytes=500_000,
        row_overhead=300,
        parallel=4,
        repeats_in_parts=True,
        cannot="Segment takes nothing back: who leaves an audience, or withdraws consent, stays as "
        "they were told (delete them there by its own request). It answers 200 to a message that it "
        "drops later, so look at its debugger.",
    )
    base_url = "https://api.segment.io"
    login_key = "write_key"

    def headers(self) -> Mapping[str, str]:
        login = base64.b64encode(f"{self.connection['write_key']}:".encode()).decode()
        return {"Authorization": f"Basic {login}"}

    def calls(self, batch: Batch) -> Sequence[Call]:
        messages, _ = self._messages(batch)
        if not messages:
            return []
        body = b'{"batch":[' + b",".join(messages) + b"]}"
        return [Call("POST", "v1/batch", body)]

    def send(self, batch: Batch) -> BatchAnswer | Job:
        _, refused = self._messages(batch)
        answer = super().send(batch)
        return answer if isinstance(answer, Job) else replace(answer, rows=refused)

    def check(self) -> str:
        return "not tried: nothing tells whether a write key is right without writing"

    def _messages(self, batch: Batch) -> tuple[list[bytes], dict[str, RowAnswer]]:
        """The messages of a batch, and what is wrong with the rows that make none."""
        messages: list[bytes] = []
        refused: dict[str, RowAnswer] = {}
        for row in batch.rows:
            content = compact(self._message(batch, row))
            if row.operation == "remove":
                refused[row.key] = RowAnswer(
                    "no_removal", "this destination takes nothing back: delete the person there"
                )
            elif batch.mode == "events" and not self._event(json.loads(row.fields)):
                refused[row.key] = RowAnswer(
                    "no_event",
                    "an event needs a name: map the field event, or set connection.event",
                )
            elif len(content) > MESSAGE_BYTES:
                refused[row.key] = RowAnswer(
                    "row_too_large",
                    f"the message has {len(content)} bytes of at most {MESSAGE_BYTES}",
                )
            else:
                messages.append(content)
        return messages, refused

    def _message(self, batch: Batch, row: Row) -> Mapping[str, Any]:
        fields = json.loads(row.fields)
        own = {
            theirs: _moment(fields[ours]) if ours == "timestamp" else str(fields[ours])
            for ours, theirs in OWN_FIELDS.items()
            if fields.get(ours) is not None
        }
        rest = {name: value for name, value in fields.items() if name not in OWN_FIELDS}
        if batch.mode != "events":
            said = _message_id(batch.sync_name, row.key, batch.sync_run_id, row.fields)
            return {"type": "identify", "messageId": said, **own, "traits": rest}
        rest.pop(EVENT, None)
        said = _message_id(batch.sync_name, row.key)
        return {
            "type": "track",
            "messageId": said,
            **own,
            "event": self._event(fields),
            "properties": rest,
        }

    def _event(self, fields: Mapping[str, Any]) -> str:
        return str(fields.get(EVENT) or self.connection.get(EVENT) or "")


def _message_id(*parts: str) -> str:
    """An id that follows from parts that cannot run into one another."""
    said = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
    return f"mainstem-{said[:40]}"


def _moment(value: object) -> str:
    """A moment as ISO 8601 with its zone; one without a zone is UTC, as all are in the warehouse."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return str(value)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
