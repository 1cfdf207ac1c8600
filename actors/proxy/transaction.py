"""A difference of the ruleset as the text of one nft transaction: all of it takes effect, or none.

Order matters inside it: what is referred to is declared first and removed last. A changed element is removed and added
again, a changed chain is flushed and filled again; nobody sees it empty.

Neighbours: `model` gives differences, `base` the fixed part, `nft` runs the text.
"""

from collections import defaultdict
from collections.abc import Iterable

from actors.proxy.base import CONTAINERS, hooks
from actors.proxy.model import AffinitySet, Chain, Difference, Element, Item, Value

FAMILY = "ip"
ELEMENTS_A_COMMAND = 500  # so that nft's complaint about one names a line that can be read


def full(table: str, pod_cidr: str, service_cidr: str, wanted: dict[Item, Value]) -> str:
    """Return the transaction that makes the table anew, whatever was there."""
    lines = [f"add table {FAMILY} {table}", f"delete table {FAMILY} {table}", f"add table {FAMILY} {table}"]
    for name, declaration in CONTAINERS.items():
        kind, _, body = declaration.partition(" ")
        lines.append(f"add {kind} {FAMILY} {table} {name} {body}")
    for name, (hook, rules) in hooks(pod_cidr, service_cidr).items():
        lines.append(f"add chain {FAMILY} {table} {name}" + (f" {{ {hook} ; }}" if hook else ""))
        lines += _rules(table, name, rules)
    return "\n".join(lines) + "\n" + partial(table, Difference(added=wanted))


def partial(table: str, difference: Difference) -> str:
    """Return the transaction that writes a difference into a table that is there."""
    put = difference.added | difference.changed
    removed = sorted(difference.removed)
    lines = [
        f"add set {FAMILY} {table} {item.name} {{ type ipv4_addr ; flags dynamic,timeout ; timeout {value}s ; }}"
        for item, value in sorted(difference.added.items(), key=str)
        if isinstance(item, AffinitySet)
    ]
    chains = {item.name: value for item, value in put.items() if isinstance(item, Chain)}
    lines += [f"add chain {FAMILY} {table} {name}" for name in sorted(chains)]
    for name, rules in sorted(chains.items()):
        lines.append(f"flush chain {FAMILY} {table} {name}")
        lines += _rules(table, name, rules if isinstance(rules, tuple) else ())
    gone = [item for item in [*difference.changed, *removed] if isinstance(item, Element)]
    lines += _element_commands("delete", table, ((item, "") for item in gone))
    lines += _element_commands("add", table, ((i, v) for i, v in put.items() if isinstance(i, Element)))
    old_chains = [item.name for item in removed if isinstance(item, Chain)]
    lines += [f"flush chain {FAMILY} {table} {name}" for name in old_chains]
    lines += [f"delete chain {FAMILY} {table} {name}" for name in old_chains]
    lines += [f"delete set {FAMILY} {table} {item.name}" for item in removed if isinstance(item, AffinitySet)]
    return "\n".join(lines) + "\n"


def delete(table: str) -> str:
    """Return the transaction that removes the table, whether or not it is there."""
    return f"add table {FAMILY} {table}\ndelete table {FAMILY} {table}\n"


def _rules(table: str, chain: str, rules: Iterable[str]) -> list[str]:
    return [f"add rule {FAMILY} {table} {chain} {rule}" for rule in rules]


def _element_commands(verb: str, table: str, elements: Iterable[tuple[Element, Value]]) -> list[str]:
    by_container: dict[str, list[str]] = defaultdict(list)
    for (container, key), value in elements:
        by_container[container].append(f"{key} : {value}" if value else key)
    lines = []
    for container, texts in sorted(by_container.items()):
        texts.sort()
        for start in range(0, len(texts), ELEMENTS_A_COMMAND):
            part = ", ".join(texts[start : start + ELEMENTS_A_COMMAND])
            lines.append(f"{verb} element {FAMILY} {table} {container} {{ {part} }}")
    return lines
