"""Which nodes match a node selector's terms, over all rows at once.

A term matches where all of its expressions and fields do; an empty term matches no node. Operators: In, NotIn, Exists,
DoesNotExist, Gt, Lt. A node without the label matches NotIn. Gt and Lt compare integers; a value that is none does not
match.

Neighbours: the filter and the score `node_affinity` ask; `labels` holds the columns.
"""

import numpy as np

from actors.scheduler.arrays import NodeArrays, Rows
from actors.scheduler.node_selector import NAME_FIELD, NodeSelectorTerm, Requirement


def match_term(arrays: NodeArrays, term: NodeSelectorTerm, rows: Rows) -> np.ndarray:
    """Return for each of `rows` whether it matches the term."""
    if not term.expressions and not term.fields:
        return np.zeros_like(arrays.valid[rows])
    return match_all(arrays, term.expressions, rows) & _match_fields(arrays, term.fields, rows)


def match_all(arrays: NodeArrays, requirements: tuple[Requirement, ...], rows: Rows) -> np.ndarray:
    """Return for each of `rows` whether its labels meet every requirement."""
    matched = np.ones_like(arrays.valid[rows])
    for requirement in requirements:
        matched &= _match_label(arrays, requirement, rows)
    return matched


def _match_label(arrays: NodeArrays, requirement: Requirement, rows: Rows) -> np.ndarray:
    key, operator, values = requirement
    column = arrays.labels.get(key)
    if column is None:
        everywhere = operator in ("NotIn", "DoesNotExist")
        return np.full_like(arrays.valid[rows], everywhere)
    if operator == "In":
        table = column.accepting(values)
    elif operator == "NotIn":
        table = ~column.accepting(values)
    elif operator == "Exists":
        table = ~column.accepting(())
        table[-1] = False
    elif operator == "DoesNotExist":
        table = column.accepting((), absent=True)
    else:
        table = column.accepting_where(lambda value: _compares(value, operator, values))
    return table[column.ids[rows]]


def _compares(value: str, operator: str, operands: tuple[str, ...]) -> bool:
    try:
        number, operand = int(value), int(operands[0])
    except (ValueError, IndexError):
        return False
    return number > operand if operator == "Gt" else number < operand


def _match_fields(arrays: NodeArrays, fields: tuple[Requirement, ...], rows: Rows) -> np.ndarray:
    matched = np.ones(arrays.capacity, dtype=bool)
    for key, operator, values in fields:
        named = np.zeros(arrays.capacity, dtype=bool)
        named[[arrays.rows[name] for name in values if name in arrays.rows]] = True
        matched &= (named if operator == "In" else ~named) & (key == NAME_FIELD)
    return matched[rows]
