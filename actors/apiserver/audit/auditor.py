"""What the handler tells of requests, and what of it the audit log gets.

A request that the policy has a rule for gets a trail: an event at each of its stages that the rule does not omit, under
the id that its client is told as Audit-Id. Neighbours: `policy`, `event`, `file`; `handler` begins and ends trails.
"""

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from actors.apiserver.audit import event
from actors.apiserver.audit.file import LineWriter
from actors.apiserver.audit.policy import COMPLETE, PANIC, RECEIVED, STARTED, Policy, Rule
from actors.apiserver.call import JSON, Answer, ApiCall, StreamAnswer
from actors.apiserver.machinery.uids import new_uid
from actors.apiserver.request_info import RequestInfo
from runtime.clock import Clock

Decide = Callable[[ApiCall, RequestInfo], tuple[bool, str]]


class Trail:
    """One request's way through the log."""

    __slots__ = ("_auditor", "_call", "_event", "_info", "_rule")

    def __init__(self, auditor: "Auditor", rule: Rule, call: ApiCall, info: RequestInfo) -> None:
        self._auditor = auditor
        self._rule = rule
        self._call = call
        self._info = info
        call.audit_id = call.audit_id or new_uid()
        self._event = event.begun(call.audit_id, rule, call, info, auditor.clock.wall())
        self._tell(RECEIVED)

    def end(self, answer: Answer | StreamAnswer, *, is_panic: bool = False) -> None:
        """The request was answered, or begins to be: a stream ends when it is closed."""
        event.add_decision(self._event, *self._auditor.decide(self._call, self._info))
        event.add_annotations(self._event, self._rule, self._call.annotations)
        if isinstance(answer, StreamAnswer):
            event.add_status(self._event, answer.status, b"")
            self._tell(STARTED)
            answer.when_closed(self._stream_ended)
            return
        body = answer.body
        event.add_status(self._event, answer.status, body)
        if answer.status == 201 and not self._info.name and "objectRef" in self._event:
            name = event.name_of_created(body)
            if name:
                self._event["objectRef"]["name"] = name
        event.add_objects(self._event, self._rule, self._call, body, answer.content_type.startswith(JSON))
        self._tell(PANIC if is_panic else COMPLETE)

    def _stream_ended(self) -> None:
        self._tell(COMPLETE)

    def _tell(self, stage: str) -> None:
        if stage in self._rule.omitted:
            return
        self._event["stage"] = stage
        self._auditor.tell(self._event)


class Auditor:
    def __init__(self, policy: Policy, writer: LineWriter, clock: Clock, decide: Decide) -> None:
        self._policy = policy
        self._writer = writer
        self.clock = clock
        self.decide = decide

    def begin(self, call: ApiCall, info: RequestInfo) -> Trail | None:
        """Begin to tell of a request; None when the policy has nothing told of it."""
        rule = self._policy.rule_for(call.impersonator or call.identity, info)
        return None if rule is None else Trail(self, rule, call, info)

    def tell(self, told: dict[str, Any]) -> None:
        told["stageTimestamp"] = event.rfc3339_micro(self.clock.wall())
        self._writer.append(event.encode(told))


class AuditCollector(Collector):
    """The log's figures, under Kubernetes' names."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily("apiserver_audit_event", "Audit events that were written.", self._writer.written)
        lost = CounterMetricFamily("apiserver_audit_error", "Audit events that were lost.", labels=["plugin"])
        lost.add_metric(["log"], self._writer.dropped)
        yield lost
