"""A CronJob's schedule: five fields of numbers, ranges, steps and names, or a word for one of them.

What is taken here is what Kubernetes' parser of schedules takes, for whoever makes the Jobs has to read it: Sunday is 0
and not 7, only months and days of the week have names, and a step is not 0.

Neighbour: `batch`.
"""

import re
from collections.abc import Mapping

MAX_SCHEDULE_CHARS = 1024  # every minute of an hour written out has 200

_MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY = re.compile(r"@every ([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[int, int, Mapping[str, int]], ...] = (
    (0, 59, {}), (0, 23, {}), (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)  # fmt: skip


def cron_error(schedule: str) -> str:
    """Return what is wrong with a cron schedule; "" when it is one."""
    if len(schedule) > MAX_SCHEDULE_CHARS:
        return f"must be no more than {MAX_SCHEDULE_CHARS} characters"
    if schedule.startswith("@"):
        known = schedule in _MACROS or _EVERY.fullmatch(schedule)
        return "" if known else f"unrecognized descriptor: {schedule}"
    if schedule.startswith(("TZ=", "CRON_TZ=")):
        return "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
    parts = schedule.split()
    if len(parts) != len(_FIELDS):
        return f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: [{schedule}]"
    terms = ((term, field) for part, field in zip(parts, _FIELDS, strict=True) for term in part.split(","))
    return next((wrong for term, field in terms if (wrong := _term_error(term, *field))), "")


def _term_error(term: str, low: int, high: int, words: Mapping[str, int]) -> str:
    """Return what is wrong with a number, a range or all there is, each with a step or without."""
    span, slash, step = term.partition("/")
    if slash and _number(step, {}) is None:
        return f"failed to parse int from {step}"
    if slash and _number(step, {}) == 0:
        return f"step of range should be a positive number: {term}"
    if span in ("*", "?"):
        return ""
    first, dash, last = span.partition("-")
    ends = [(text, _number(text, words)) for text in ((first, last) if dash else (first,))]
    for text, number in ends:
        if number is None:
            return f"failed to parse int from {text}"
    start, end = ends[0][1] or 0, ends[-1][1] or 0
    if start < low:
        return f"beginning of range ({start}) below minimum ({low}): {term}"
    if end > high:
        return f"end of range ({end}) above maximum ({high}): {term}"
    return f"beginning of range ({start}) beyond end of range ({end}): {term}" if start > end else ""


def _number(text: str, words: Mapping[str, int]) -> int | None:
    if text.lower() in words:
        return words[text.lower()]
    return int(text) if text.isascii() and text.isdigit() else None
