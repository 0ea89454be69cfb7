"""Who came and who went: ids change by merges and splits, people do not."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from conftest import Books


def test_who_came_and_who_went(books: Books) -> None:
    for customer in "abc":
        books.create(customer)
    books.book("a", "b")
    since = books.members()
    books.book("b", "c")
    assert books.members().keys() == {"b", "c"}
    assert books.members()["b"] == since["b"]
    assert books.history() == [
        ("a", "entered", True, None),
        ("b", "entered", True, None),
        ("a", "exited", False, None),
        ("c", "entered", True, None),
    ]


def test_a_merge_is_no_exit_and_no_entrance(books: Books) -> None:
    for customer in "abc":
        books.create(customer)
    books.book("a", "b")
    since = books.members()
    books.merge("a", "c")  # c was no member
    books.book("b", "c")
    assert books.members() == {"b": since["b"], "c": since["a"]}
    assert books.history()[2:] == [("a", "remapped", False, "c"), ("c", "remapped", True, "a")]
    books.merge("c", "b")  # both are
    books.book("b")
    assert books.members() == {"b": since["b"]}
    assert books.history()[4:] == [("c", "remapped", False, "b")]


def test_a_merged_customer_who_is_not_selected_has_left_once(books: Books) -> None:
    for customer in "ab":
        books.create(customer)
    books.book("a")
    books.merge("a", "b")
    books.book()
    assert books.members() == {}
    assert books.history()[1:] == [("a", "exited", False, "b")]


def test_several_merges_between_two_bookings(books: Books) -> None:
    for customer in "abcd":
        books.create(customer)
    books.book("a", "b")
    since = books.members()
    books.merge("a", "c")
    books.merge("b", "c")
    books.merge("c", "d")
    books.book("d")
    assert books.members() == {"d": since["a"]}
    assert books.history()[2:] == [
        ("a", "remapped", False, "d"),
        ("b", "remapped", False, "d"),
        ("d", "remapped", True, "a"),
    ]


def test_a_split_while_in_the_audience(books: Books) -> None:
    books.create("a")
    books.create("b")
    books.book("a", "b")
    since = books.members()
    books.split("a", "x")  # both go on being selected
    books.split("b", "y")  # only who was split off does
    books.book("a", "x", "y")
    assert books.members() == {"a": since["a"], "x": since["a"], "y": since["b"]}
    assert books.history()[2:] == [
        ("b", "exited", False, None),
        ("x", "remapped", True, "a"),
        ("y", "remapped", True, "b"),
    ]


def test_who_was_split_off_long_ago_enters_like_anybody(books: Books) -> None:
    books.create("a")
    books.book("a")
    books.split("a", "x")
    books.book("a")
    books.book("a", "x")
    assert books.history()[-1] == ("x", "entered", True, None)


def test_a_merge_that_is_undone(books: Books) -> None:
    books.create("a")
    books.create("b")
    books.book("a", "b")
    books.merge("a", "b")
    books.book("b")
    books.con.execute(
        "update identity.crosswalk set customer_id = 'a' where node_key = 'node_of_a'"
    )
    books._happened("split", "b", "a")
    books.book("a", "b")
    assert books.members().keys() == {"a", "b"}
    assert books.history()[-1] == ("a", "remapped", True, "b")


def test_who_is_erased_has_left(books: Books) -> None:
    books.create("a")
    books.book("a")
    books.erase("a")
    books.book()
    assert books.history()[1:] == [("a", "exited", False, None)]


STEP = st.tuples(
    st.lists(st.sampled_from(["merge", "split", "erase"]), max_size=3),
    st.randoms(use_true_random=False),
)


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(STEP, min_size=2, max_size=5))
def test_the_books_always_add_up(
    new_books: type[Books], steps: list[tuple[list[str], Any]]
) -> None:
    books = new_books()
    with closing(books.con):
        for number in range(5):
            books.create(f"c{number}")
        born = 0
        for events, random in steps:
            before = books.members()
            for event in events:
                live = books.live()
                if event == "merge" and len(live) > 1:
                    books.merge(*random.sample(live, 2))
                elif event == "split" and live:
                    born += 1
                    books.split(random.choice(live), f"n{born}")
                elif event == "erase" and live:
                    books.erase(random.choice(live))
            selected = [one for one in books.live() if random.random() < 0.6]
            booked = len(books.history())
            books.book(*selected)
            after, news = books.members(), books.history()[booked:]
            assert after.keys() == set(selected)
            # the last word on each customer in the history is the membership
            last = {customer: is_member for customer, _, is_member, _ in books.history()}
            assert {customer for customer, is_member in last.items() if is_member} == set(selected)
            # one word a customer, and what came less what went is the difference
            assert len({customer for customer, *_ in news}) == len(news)
            assert len(after) - len(before) == sum(1 if one[2] else -1 for one in news)
            forward = dict(
                books.con.execute(
                    "select customer_id, current_customer_id from identity.resolve_forward"
                ).fetchall()
            )
            for customer, change, _, _ in news:
                if change == "exited":
                    assert forward.get(customer) not in after
            for customer, since in before.items():
                if forward.get(customer) == customer and customer in after:
                    assert after[customer] == since
                elif forward.get(customer) in after and forward[customer] not in before:
                    assert after[forward[customer]] <= since
            books.book(*selected)
            assert len(books.history()) == booked + len(news), "booked twice"
            assert books.members() == after
