"""The email tool's stand-in over real HTTP."""

from __future__ import annotations

import json
import threading
import time

import httpx
import pytest

from seeds.email_tool import EmailTool, sign

SECRET = "a secret of the tests"


@pytest.fixture
def tool(tmp_path):
    with EmailTool(tmp_path / "state", SECRET) as running:
        yield running


def upsert(key: str, **fields):
    return {"operation": "upsert", "key": key, "fields": fields}


def send(tool: EmailTool, rows, *, key: str = "k1", secret: str = SECRET) -> httpx.Response:
    body = json.dumps({"sync": "abandoned_cart", "rows": rows}).encode()
    headers = {
        "Idempotency-Key": key,
        "X-Mainstem-Timestamp": "1782864000",
        "X-Mainstem-Signature": sign(secret, "1782864000", body),
    }
    return httpx.post(tool.url, content=body, headers=headers, timeout=10)


def test_the_signature_is_hmac_sha256_of_timestamp_dot_body():
    # printf '1.{"a":1}' | openssl dgst -sha256 -hmac secret
    expected = "7900dcfa0dd8e32ee0ef71db511fc5d7b91ed98221ea7eb400f3072f0d7dd39d"
    assert sign("secret", "1", b'{"a":1}') == f"sha256={expected}"


def test_rows_are_answered_one_by_one(tool):
    answer = send(
        tool,
        [
            upsert("c1", email="ada@x.example", first_name="Ada"),
            upsert("c2", email="nothing to send to"),
            {"operation": "explode", "key": "c3"},
            {"operation": "remove", "key": "c4"},
        ],
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [(r["key"], r["status"]) for r in results] == [
        ("c1", "ok"),
        ("c2", "error"),
        ("c3", "error"),
        ("c4", "ok"),
    ]
    assert "nothing to send to" not in answer.text
    members = httpx.get(f"{tool.url}members.json", timeout=10).json()
    assert members == {"abandoned_cart": {"c1": {"email": "ada@x.example", "first_name": "Ada"}}}


def test_a_bad_signature_changes_nothing(tool):
    rows = [upsert("c1", email="a@b.example")]
    assert send(tool, rows, secret="other").status_code == 401
    assert httpx.post(tool.url, content=b"{}", timeout=10).status_code == 401
    assert tool.members() == {}


def test_a_repeated_key_is_answered_as_before_and_applied_once(tool):
    first = send(tool, [upsert("c1", email="a@b.example")], key="one")
    send(tool, [{"operation": "remove", "key": "c1"}], key="two")
    again = send(tool, [upsert("c1", email="a@b.example")], key="one")
    assert again.json() == first.json()
    assert tool.members() == {}


def test_repeats_at_the_same_moment_are_applied_once(tool):
    rows = [upsert(f"c{n}", email=f"{n}@b.example") for n in range(200)]
    answers: list[dict[str, object]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(send(tool, rows, key="same").json()))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 6
    assert all(answer == answers[0] for answer in answers)
    assert '<td class="n">5</td>' in tool.page(), "five repeats are counted"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"sync": 1, "rows": []}', b'{"sync": "s"}'])
def test_what_is_not_a_batch_is_refused(tool, body):
    headers = {
        "Idempotency-Key": "k",
        "X-Mainstem-Timestamp": "1",
        "X-Mainstem-Signature": sign(SECRET, "1", body),
    }
    answer = httpx.post(tool.url, content=body, headers=headers, timeout=10)
    assert answer.status_code == 400
    del headers["Idempotency-Key"]
    assert httpx.post(tool.url, content=body, headers=headers, timeout=10).status_code == 400


def test_members_outlive_a_restart_and_the_page_is_left_behind(tmp_path, capsys):
    state = tmp_path / "state"
    with EmailTool(state, SECRET) as tool:
        send(tool, [upsert("c1", email="a@b.example", first_name="<script>")])
        assert "a@b.example" in httpx.get(tool.url, timeout=10).text
    page = (state / "index.html").read_text()
    assert "a@b.example" in page
    assert "<script>" not in page
    with EmailTool(state, SECRET) as tool:
        assert tool.members()["abandoned_cart"]["c1"]["email"] == "a@b.example"
        send(tool, [{"operation": "remove", "key": "c1"}])  # key k1 again: not applied
        assert "abandoned_cart" in tool.members()
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""


def test_stopping_is_quick_even_with_a_client_connected(tmp_path):
    tool = EmailTool(tmp_path, SECRET).start()
    with httpx.Client(timeout=5) as client:
        client.get(tool.url)
        began = time.monotonic()
        tool.stop()
        assert time.monotonic() - began < 2
    with pytest.raises(httpx.TransportError):
        httpx.get(tool.url, timeout=2)
