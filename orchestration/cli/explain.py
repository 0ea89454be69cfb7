"""`mainstem explain`: the evidence that makes records one customer."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from identity.explain import Explanation, Link, Node, NotFoundError, explain
from orchestration.cli import EXIT_FAILED
from orchestration.home import Home, find_home
from orchestration.warehouse import attach_published, read_published


@click.command()
@click.argument("what")
@click.argument("other", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(what: str, other: str | None, as_json: bool) -> None:
    """Show why the records of a customer are one person, or why two are, or are not.

    WHAT is a customer id (a retired one leads to its successor), a contact key such as crm:K-20001, or
    any identifier: an email, a phone number, a loyalty card, a login. With OTHER, any of these too, it
    shows what is between the two.

    \b
    mainstem explain cus_0004e38f39bd4612
    mainstem explain jo@example.com
    mainstem explain crm:K-20001 jo@example.com
    """
    home = find_home()
    if other is not None:
        _explain_pair(home, what, other, as_json=as_json)
        return
    with read_published(home.published) as con:
        try:
            found = explain(con, what)
        except NotFoundError as error:
            print(f"mainstem: {error}", file=sys.stderr)
            sys.exit(EXIT_FAILED)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, default=str, ensure_ascii=False))
    else:
        _show(Console(highlight=False), found)


def _explain_pair(home: Home, left: str, right: str, *, as_json: bool) -> None:
    from identity.between import between
    from identity.configs import rules_in_force
    from identity.sections import RulesError
    from orchestration.cli.explain_pair import show

    try:
        with attach_published(home.published) as con:
            found = between(con, left, right, rules_in_force(con, home.rules))
    except (NotFoundError, RulesError) as error:
        print(f"mainstem: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILED)
    if as_json:
        print(json.dumps(found.to_dict(), indent=2, default=str, ensure_ascii=False))
    else:
        show(Console(highlight=False), found)


def _show(console: Console, found: Explanation) -> None:
    visitors = sum(node.is_visitor for node in found.nodes)
    console.print(
        f"\n[bold]{found.customer_id}[/]  {len(found.nodes) - visitors} contact records,"
        f" {visitors} browsers and apps"
    )
    if found.retired_id:
        console.print(f"  {found.retired_id} was merged into it")
    for merged in found.merged_ids:
        console.print(f"  has taken in {merged}")
    if found.other_customers:
        others = ", ".join(found.other_customers)
        console.print(f"  the same value also leads to {others}", style="yellow")
    console.print("\n[bold]What holds them together[/]  (the strongest link to each record)")
    for root in _trees(found):
        console.print(root)
    if found.further_edges:
        console.print(f"  and {found.further_edges} further links between the same records")
    if found.weakest:
        weakest = found.weakest
        console.print(
            f"\n[bold]Weakest link[/]  {weakest.left_key} - {weakest.right_key}: {weakest.summary}"
            f" ({weakest.match_probability:.4f})"
        )
    if found.kept_out:
        console.print("\n[bold]Kept out[/]")
        for link in found.kept_out:
            other = f" of {link.other_customer_id}" if link.other_customer_id else ""
            console.print(
                Text(
                    f"  {link.left_key} - {link.right_key}{other}: {link.summary}; {link.inactive_reason}"
                )
            )
    if found.held:
        console.print("\n[bold]Values that link nobody[/]")
        for value in found.held:
            console.print(
                Text(
                    f"  {value.identifier_type} {value.identifier_value} ({value.reason}) of {value.node_key}"
                )
            )
    console.print()


def _trees(found: Explanation) -> list[Tree]:
    """The chain as trees (one, unless something holds the records apart), from the best known record."""
    nodes = {node.node_key: node for node in found.nodes}
    links: dict[str, list[tuple[str, Link]]] = {key: [] for key in nodes}
    for link in found.chain:
        links[link.left_key].append((link.right_key, link))
        links[link.right_key].append((link.left_key, link))
    seen: set[str] = set()

    def grow(tree: Tree, key: str) -> None:
        for other, link in sorted(links[key], key=lambda pair: (-pair[1].match_weight, pair[0])):
            if other not in seen:
                seen.add(other)
                grow(tree.add(_label(nodes[other], link)), other)

    trees = []
    for key in sorted(nodes, key=lambda key: (nodes[key].is_visitor, -len(links[key]), key)):
        if key not in seen:
            seen.add(key)
            trees.append(Tree(_label(nodes[key], None)))
            grow(trees[-1], key)
    return trees


def _label(node: Node, link: Link | None) -> Text:
    label = Text(node.node_key, style="bold")
    details = ", ".join(
        str(value) for value in (node.name, node.email, node.phone, node.birth_date) if value
    )
    if details:
        label.append(f"  {details}", style="not bold")
    if link is not None:
        label.append(f"\n  by {link.summary}", style="not bold green")
        label.append(f"  {link.match_probability:.4f}", style="not bold dim")
        further = dict.fromkeys(also.split(" + ")[0] for also in link.also)
        if further:
            label.append(f"\n  and {', '.join(further)}", style="not bold dim")
    return label
