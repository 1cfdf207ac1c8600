"""How much an evaluation may cost: of one expression, and of all that share a budget.

The figures and units are Kubernetes': a unit for a step, a tenth for a character that a step goes through. An
expression that costs more than PER_CALL is stopped; whoever evaluates several for one object, policy or webhook lets
them share a `Budget`, and refuses what is left over.

An evaluation holds up the process's loop. Cost bounds that well, but for what costs little and takes long, comparing
large values over and over; so a budget has an end in CPU time too, looked at every CHECK_FREQUENCY turns of a loop,
that what costs what it takes never meets, however busy the machine is.

Source: Kubernetes' apiserver/pkg/apis/cel. Neighbours: `interpreter` counts.
"""

import time

from actors.apiserver.cel.errors import OutOfBudget, OutOfTime

OUT_OF_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"

PER_CALL = 1_000_000  # of one expression: a fifth of a second or less
RUNTIME = 10_000_000  # of all rules of a custom object; of a policy by one binding
MATCH_CONDITIONS = 2_500_000  # of the match conditions of one webhook, or of a policy
CHECK_FREQUENCY = 100  # turns of a loop between looks at the clock
LONGEST_S = 5.0  # of CPU, of a budget: twice what the costliest rules of RUNTIME units were seen to take


class Budget:
    """What all expressions of one object, policy or webhook have left."""

    __slots__ = ("ends_at", "left")

    def __init__(self, cost: int = RUNTIME, seconds: float = LONGEST_S) -> None:
        self.left = cost
        self.ends_at = time.thread_time() + seconds

    def spend(self, cost: int) -> None:
        """Take what an evaluation has cost. Raises OutOfBudget."""
        if cost > self.left:
            self.left = -1
            raise OutOfBudget(OUT_OF_BUDGET)
        self.left -= cost

    def look_at_the_clock(self) -> None:
        """Raises OutOfTime."""
        if time.thread_time() > self.ends_at:
            self.left = -1
            raise OutOfTime("operation interrupted")
