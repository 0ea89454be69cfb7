"""Paged JSON APIs, served here as Shopify and Stripe page theirs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion import fetch, json_pages, ledger, load, requests
from ingestion.sources import FetchError
from ingestion.windows import Window

NOW = datetime(2026, 7, 1, 12, 0)
COLUMNS = {"id": "varchar", "total": "decimal(18,2)", "updated_at": "timestamp"}
#: What a server answers: status, headers, and a body that becomes JSON.
Answer = tuple[int, dict[str, str], Any]


class Api:
    """A local server: `answers` are given first, one a request, and then `serve` decides."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.answers: list[Answer] = []
        self.serve: Callable[[dict[str, str]], Answer] = lambda _: (404, {}, {})
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {key: value[0] for key, value in parse_qs(parts.query).items()}
                api.requests.append((parts.path, query, dict(self.headers)))
                status, headers, body = api.answers.pop(0) if api.answers else api.serve(query)
                text = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                if "content-length" not in headers:
                    self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def api(monkeypatch) -> Iterator[Api]:
    monkeypatch.setattr(requests, "FIRST_PAUSE_SECONDS", 0.01)
    api = Api()
    thread = threading.Thread(target=api.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield api
    api.server.shutdown()
    api.server.server_close()
    thread.join(5)


def declare(project, api: Api, path: str, **options: Any):
    block = {"connector": "http", "location": api.url + path, "key": "id", **options}
    return project.declare(block, COLUMNS)


def bring(project, table, window: Window | None = None, **env: str):
    since = window or ledger.high_water(project.con, table)
    arrivals = fetch.fetch(
        table, project_root=project.root, downloads=project.root / "d", env=env, since=since
    )
    (result,) = load.load(project.con, table, arrivals, run_id="r", now=NOW)
    assert result.error is None
    return result


def rows(count: int, first: int = 1) -> list[dict[str, Any]]:
    return [
        {"id": f"o{n:03}", "total": f"{n}.10", "updated_at": f"2026-06-01T00:{n % 60:02}:00Z"}
        for n in range(first, first + count)
    ]


def count(project) -> int:
    return project.rows("select count(*) from raw_crm.people")[0][0]


def shopify(api: Api, orders: list[dict[str, Any]]) -> None:
    """Pages by Link header; a page's link carries its own place and size."""

    def serve(query: dict[str, str]) -> Answer:
        chosen = [o for o in orders if o["updated_at"] >= query.get("updated_at_min", "")]
        start, size = int(query.get("page_info", 0)), int(query.get("limit", 50))
        links = {}
        if start + size < len(chosen):
            ahead = f"{api.url}/orders.json?limit={size}&page_info={start + size}"
            links = {"Link": f'<{api.url}/x>; rel="previous", <{ahead}>; rel="next"'}
        return 200, links, {"orders": chosen[start : start + size]}

    api.serve = serve


def test_a_shopify_style_api_pages_by_link_and_brings_only_what_changed(project, api):
    orders = rows(25)
    shopify(api, orders)
    table = declare(
        project, api, "/orders.json",
        connection={"auth": "${SHOP_TOKEN}", "auth_header": "X-Shopify-Access-Token"},
        params={"status": "any"}, records="orders", mode="upsert",
        pages={"style": "link", "size": 10, "size_param": "limit"},
        cursor={"column": "updated_at", "lookback": "1 minute"}, since_param="updated_at_min",
    )  # fmt: skip
    result = bring(project, table, SHOP_TOKEN="s3cret")
    assert (result.rows_loaded, len(api.requests)) == (25, 3)
    assert result.origin == f"{api.url}/orders.json"
    assert all(headers["X-Shopify-Access-Token"] == "s3cret" for _, _, headers in api.requests)
    assert api.requests[0][1] == {"status": "any", "limit": "10"}
    assert api.requests[1][1] == {"limit": "10", "page_info": "10"}
    orders += rows(1, first=30)
    orders[3]["updated_at"] = "2026-06-01T00:31:00Z"
    api.requests.clear()
    result = bring(project, table, SHOP_TOKEN="s3cret")
    assert api.requests[0][1]["updated_at_min"] == "2026-06-01T00:24:00Z"
    assert result.origin.endswith("/orders.json?updated_at_min=2026-06-01T00%3A24%3A00Z")
    assert (result.rows_read, count(project)) == (4, 26)
    assert project.rows("select updated_at from raw_crm.people where id = 'o004'") == [
        (datetime(2026, 6, 1, 0, 31),)
    ]
    with pytest.raises(FetchError, match=r"SHOP_TOKEN}, which is not set"):
        bring(project, table)


def test_a_window_asks_from_its_start_and_keeps_what_lies_in_it(project, api):
    """An API that knows no end answers with more than that, and one that does is told."""
    orders = [
        {"id": str(day), "total": "1", "updated_at": f"2026-06-{day:02}T00:00:00+02:00"}
        for day in range(1, 11)
    ]
    shopify(api, orders)
    cursor = {"column": "updated_at"}
    declared = {"records": "orders", "cursor": cursor, "since_param": "updated_at_min"}
    table = declare(project, api, "/orders.json", **declared)
    window = Window(datetime(2026, 6, 2), datetime(2026, 6, 5))
    result = bring(project, table, window)
    assert result.origin == f"{api.url}/orders.json[2026-06-02, 2026-06-05)"
    assert api.requests[-1][1] == {"updated_at_min": "2026-06-02T00:00:00Z"}
    assert project.rows("select id from raw_crm.people order by id") == [("3",), ("4",), ("5",)]
    assert bring(project, table, window).status == "unchanged"
    bring(project, table)
    assert api.requests[-1][1] == {}, "a window is no usual load: that one begins at the beginning"
    assert count(project) == 10

    table = declare(project, api, "/orders.json", **declared, until_param="updated_at_max")
    bring(project, table, window)
    assert api.requests[-1][1]["updated_at_max"] == "2026-06-05T00:00:00Z"


def test_a_stripe_style_api_pages_by_the_last_id_while_there_is_more(project, api):
    charges = rows(23)

    def serve(query: dict[str, str]) -> Answer:
        ids = [charge["id"] for charge in charges]
        start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
        size = int(query["limit"])
        page = charges[start : start + size]
        return 200, {}, {"object": "list", "data": page, "has_more": start + size < len(ids)}

    api.serve = serve
    table = declare(
        project, api, "/v1/charges", records="data",
        connection={"username": "${STRIPE_KEY}", "password": "${EMPTY}"},
        pages={"style": "cursor", "param": "starting_after", "last": "id", "more": "has_more",
               "size": 10, "size_param": "limit"},
    )  # fmt: skip
    bring(project, table, STRIPE_KEY="sk", EMPTY="x")
    assert (count(project), len(api.requests)) == (23, 3)
    assert api.requests[2][1] == {"limit": "10", "starting_after": "o020"}
    assert api.requests[0][2]["Authorization"].startswith("Basic ")
    assert bring(project, table, STRIPE_KEY="sk", EMPTY="x").status == "unchanged"


@pytest.mark.parametrize("total", [0, 9, 10, 11])
def test_offsets_end_with_a_page_that_is_not_full(project, api, total):
    items = rows(total)
    api.serve = lambda query: (
        200, {}, items[int(query.get("skip", 0)) : int(query.get("skip", 0)) + 5]
    )  # fmt: skip
    table = declare(project, api, "/items", pages={"style": "offset", "param": "skip", "size": 5})
    bring(project, table)
    assert (count(project), len(api.requests)) == (total, total // 5 + 1)


def test_a_next_cursor_in_the_answer_and_a_server_that_goes_in_circles(project, api):
    api.serve = lambda query: (
        200, {}, {"items": rows(1, int(query.get("after", 1))),
                  "meta": {"next": {"1": 2, "2": 3}.get(query.get("after", "1"))}},
    )  # fmt: skip
    pages = {"style": "cursor", "param": "after", "next": "meta.next"}
    table = declare(project, api, "/items", pages=pages, records="items")
    bring(project, table)
    assert count(project) == 3
    api.serve = lambda _: (200, {}, {"items": rows(1), "meta": {"next": "x"}})
    with pytest.raises(FetchError, match="leads from page 2 back to one before"):
        bring(project, table)


def test_busy_broken_and_dropped_answers_are_asked_for_again(project, api):
    shopify(api, rows(3))
    api.answers = [
        (429, {"Retry-After": "1"}, {}),
        (503, {}, {}),
        (200, {"content-length": "999"}, b'{"orders": ['),
        (500, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, {}),
    ]
    table = declare(project, api, "/orders.json", records="orders", pages={"style": "link"})
    begun = time.monotonic()
    bring(project, table)
    assert (count(project), len(api.requests)) == (3, 5)
    assert time.monotonic() - begun >= 1
    api.answers = [(500, {}, {})] * 6
    with pytest.raises(FetchError, match=r"/orders.json failed 6 times \(HTTP 500\)"):
        bring(project, table)
    api.answers = [(429, {"Retry-After": "3600"}, {})]
    with pytest.raises(FetchError, match="asks to wait 3600 seconds"):
        bring(project, table)


def test_what_cannot_be_right_is_said_with_the_key_to_look_at(project, api):
    secret = {"connection": {"auth": "Bearer ${TOKEN}"}, "records": "data"}
    table = declare(project, api, "/a", **secret, params={"email": "${WHO}"})
    cases: list[tuple[Answer, str]] = [
        ((401, {}, {}), "refused the login .*`connection`"),
        ((302, {"Location": "http://elsewhere/"}, {}), "has moved .*`location`"),
        ((404, {}, {}), "HTTP 404: check `location`"),
        ((200, {}, b"<html>"), "not JSON"),
        ((200, {}, b'{"data": [NaN]}'), "not JSON"),
        ((200, {}, {"data": {}}), "no list at `records: data`"),
    ]
    for answer, says in cases:
        api.answers = [answer]
        with pytest.raises(FetchError, match=says) as refused:
            bring(project, table, TOKEN="t0ken", WHO="ann@example.org")
        assert "t0ken" not in str(refused.value) and "ann@" not in str(refused.value)
    elsewhere = {"Link": '<http://elsewhere.example/b>; rel="next"'}
    table = declare(project, api, "/a", **secret, pages={"style": "link"})
    api.answers = [(200, elsewhere, {"data": []})]
    with pytest.raises(FetchError, match=r"another server, elsewhere\.example"):
        bring(project, table, TOKEN="t")


def test_pages_and_bytes_have_a_cap(project, api):
    shopify(api, rows(30))
    paged = {"records": "orders", "pages": {"style": "link", "size": 10, "size_param": "limit"}}
    with pytest.raises(FetchError, match="more than `max_pages: 2`"):
        bring(project, declare(project, api, "/orders.json", **paged, max_pages=2))
    with pytest.raises(FetchError, match="more than `max_bytes` allows"):
        bring(project, declare(project, api, "/orders.json", **paged, max_bytes=1500))
    assert count(project) == 0
    left = [path.name for path in (project.root / "d" / "crm" / "people").glob("*.ndjson")]
    assert left == []


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6) | st.integers())
def test_no_number_is_rounded_on_its_way(number):
    (found,) = json_pages.parsed(f'[{{"n": {number}}}]'.encode(), "x")
    assert type(number)(str(found["n"])) == number


def test_records_keep_text_and_nesting(project, api):
    document = [{"id": "é\n1", "total": "1", "address": {"city": "Łódź", "lines": [1, None]}}]
    api.serve = lambda _: (200, {}, document)
    bring(project, declare(project, api, "/a"))
    ((name, extra),) = project.rows("select id, _extra::varchar from raw_crm.people")
    assert name == "é\n1"
    assert json.loads(extra) == {"address": {"city": "Łódź", "lines": [1, None]}}
