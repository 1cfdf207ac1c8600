"""The audit log: which rule decides, what events say, and files that rotate."""

import os

import orjson
import pytest
import structlog

from actors.api import errors
from actors.api.config import AuditConfig
from actors.apiserver.audit.auditor import Auditor
from actors.apiserver.audit.file import LineWriter, RotatingFile
from actors.apiserver.audit.policy import NAME_OF_LEVEL, BadPolicy, compiled, of_config
from actors.apiserver.auth.authorizer import attributes
from actors.apiserver.call import AUTHENTICATED, ApiCall, Identity
from actors.apiserver.request_info import parse
from runtime.clock import ManualClock
from tests.actors.apiserver.admission.hooks import add, allow, configure, install, patch, unanswered, webhook
from tests.actors.apiserver.api_harness import ADMIN, config_map, pod, with_account, with_api

MERGE = "application/merge-patch+json"
REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
CMS = "/api/v1/namespaces/default/configmaps"
JANE = Identity("jane", ("dev", AUTHENTICATED))
POLICY = {
    "kind": "Policy",
    "apiVersion": "audit.k8s.io/v1",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "users": ["system:kube-proxy"], "verbs": ["watch"]},
        {"level": "None", "nonResourceURLs": ["/healthz*", "/version"]},
        {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets"]}]},
        {"level": "Request", "resources": [{"group": "", "resources": ["pods/log", "*/status"]}]},
        {"level": "Request", "userGroups": ["dev"], "namespaces": ["default"]},
        {"level": "RequestResponse", "resources": [{"group": "apps"}], "omitStages": ["ResponseComplete"]},
        {
            "level": "RequestResponse",
            "resources": [{"group": "", "resources": ["configmaps"], "resourceNames": ["special"]}],
            "omitManagedFields": True,
        },
        {"level": "Metadata", "resources": [{"group": "", "resources": ["configmaps"]}]},
        {"level": "None", "resources": [{"group": "coordination.k8s.io"}]},
        {"level": "Metadata"},
    ],
}


@pytest.mark.parametrize(
    ("identity", "method", "path", "level"),
    [
        (Identity("system:kube-proxy"), "GET", "/api/v1/services?watch=1", None),
        (Identity("system:kube-proxy"), "GET", "/api/v1/services", "Metadata"),
        (ADMIN, "GET", "/healthz/ping", None),
        (ADMIN, "GET", "/version", None),
        (ADMIN, "GET", "/versions", "Metadata"),
        (JANE, "GET", "/api/v1/namespaces/default/secrets/x", "Metadata"),
        (ADMIN, "GET", "/api/v1/namespaces/default/pods/x/log", "Request"),
        (ADMIN, "PUT", "/api/v1/namespaces/default/pods/x/status", "Request"),
        (ADMIN, "GET", "/api/v1/namespaces/default/pods/x", "Metadata"),
        (JANE, "GET", "/api/v1/namespaces/default/pods/x", "Request"),
        (JANE, "GET", "/api/v1/namespaces/other/pods/x", "Metadata"),
        (ADMIN, "GET", "/apis/apps/v1/deployments", "RequestResponse"),
        (ADMIN, "GET", f"{CMS}/special", "RequestResponse"),
        (ADMIN, "GET", f"{CMS}/plain", "Metadata"),
        (ADMIN, "GET", "/apis/coordination.k8s.io/v1/leases", None),
    ],
)
def test_the_first_rule_that_matches_decides(identity, method, path, level):
    path, _, query = path.partition("?")
    rule = compiled(POLICY, "test").rule_for(identity, parse(method, path, query))
    assert (rule and NAME_OF_LEVEL[rule.level]) == level


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kind": "Pod"}, "expected an object of kind Policy"),
        ({"apiVersion": "audit.k8s.io/v2"}, "expected apiVersion"),
        ({"rules": []}, "at least one"),
        ({"rules": [{"level": "Loud"}]}, "rules[0].level"),
        ({"rules": [{"level": "None", "users": "me"}]}, "rules[0].users"),
        ({"rules": [{"level": "None", "nonResourceURLs": ["/x"], "namespaces": ["a"]}]}, "not both"),
        ({"omitStages": ["Never"]}, "omitStages"),
    ],
)
def test_a_bad_policy_says_where(changed, told):
    with pytest.raises(BadPolicy) as caught:
        compiled({**POLICY, **changed}, "policy.yaml")
    assert told in str(caught.value) and "policy.yaml" in str(caught.value)


def test_a_policy_may_be_a_file_or_be_in_the_config(tmp_path):
    (tmp_path / "p.yaml").write_bytes(orjson.dumps(POLICY))
    assert of_config(AuditConfig(policy_file="p.yaml"), tmp_path) is not None
    assert of_config(AuditConfig(policy=POLICY), tmp_path) is not None
    with pytest.raises(BadPolicy, match="cannot be read"):
        of_config(AuditConfig(policy_file="none.yaml"), tmp_path)


class Lines(list):
    """A writer that keeps events."""

    def append(self, line: bytes) -> None:
        super().append(orjson.loads(line))


def audited(api, policy: dict) -> Lines:
    lines = Lines()
    decide = api.server.authorizer.decide
    api.handler.auditor = Auditor(
        compiled(policy, "test"), lines, api.clock, lambda call, info: decide(call.identity, attributes(info))
    )
    return lines


def everything(level: str, **more) -> dict:
    return {"kind": "Policy", "apiVersion": "audit.k8s.io/v1", "rules": [{"level": level, **more}]}


@with_api()
async def test_events_of_a_write_tell_who_what_and_the_outcome(api):
    lines = audited(api, everything("RequestResponse", omitManagedFields=True))
    call = ApiCall(ADMIN, "POST", CMS, "dryRun=All", content_type="application/json", user_agent="kubectl")
    call.body = orjson.dumps(config_map("a"))
    call.source, call.impersonator = "10.0.0.9", JANE
    assert (await api.handler.handle(call)).status == 201
    received, complete = lines
    assert (received["stage"], complete["stage"]) == ("RequestReceived", "ResponseComplete")
    assert received["auditID"] == complete["auditID"]
    assert received["auditID"] == call.audit_id
    assert "responseStatus" not in received
    assert {key: complete[key] for key in ("requestURI", "verb", "sourceIPs", "userAgent", "level")} == {
        "requestURI": f"{CMS}?dryRun=All", "verb": "create", "sourceIPs": ["10.0.0.9"], "userAgent": "kubectl",
        "level": "RequestResponse",
    }  # fmt: skip
    assert (complete["user"]["username"], complete["impersonatedUser"]["username"]) == ("jane", "admin")
    assert complete["objectRef"] == {
        "resource": "configmaps", "namespace": "default", "name": "a", "apiVersion": "v1",
    }  # fmt: skip
    assert complete["responseStatus"]["code"] == 201
    assert complete["requestObject"]["data"] == {"k": "v"}
    assert complete["responseObject"]["metadata"]["uid"]
    assert "managedFields" not in complete["responseObject"]["metadata"]
    assert complete["annotations"]["authorization.k8s.io/decision"] == "allow"


@with_api()
async def test_what_admission_tells(api):
    lines = audited(api, everything("Metadata", omitStages=["RequestReceived"]))
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}]
    policy = {
        "metadata": {"name": "p"},
        "spec": {
            "matchConstraints": {"resourceRules": rules},
            "variables": [{"name": "size", "expression": "size(object.data)"}],
            "validations": [
                {"expression": "variables.size > 1", "messageExpression": "'only ' + string(variables.size)"}
            ],
            "auditAnnotations": [{"key": "size", "valueExpression": "string(variables.size)"}],
        },
    }
    await api.must("POST", f"{REGISTRATION}/validatingadmissionpolicies", policy)
    binding = {"metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Audit"]}}
    await api.must("POST", f"{REGISTRATION}/validatingadmissionpolicybindings", binding)
    await api.server.barrier.fresh()
    await api.must("POST", CMS, config_map("a"))
    told = lines[-1]["annotations"]
    assert told["p/size"] == "1"
    [failure] = orjson.loads(told["validation.policy.admission.k8s.io/validation_failure"])
    assert failure == {
        "message": "only 1", "policy": "p", "binding": "b", "expressionIndex": 0, "validationActions": ["Audit"],
    }  # fmt: skip
    await api.must("PUT", f"{CMS}/a", config_map("a", data={"a": "b", "c": "d"}))
    assert lines[-1]["annotations"].get("p/size") == "2"
    assert "validation.policy.admission.k8s.io/validation_failure" not in lines[-1]["annotations"]


@with_api()
async def test_which_webhooks_were_called_and_what_they_changed(api):
    hooks = install(api)
    hooks.answers["a.b.c"] = hooks.answers["d.b.c"] = allow
    hooks.answers["b.b.c"] = patch(add("/data/b", "1"))
    hooks.answers["c.b.c"] = hooks.answers["e.b.c"] = unanswered("EOF")
    await configure(
        api, "Mutating", "m", webhook("a.b.c", reinvocationPolicy="IfNeeded"), webhook("b.b.c"),
        webhook("c.b.c", failurePolicy="Ignore"),
    )  # fmt: skip
    await configure(api, "Validating", "v", webhook("d.b.c"), webhook("e.b.c", failurePolicy="Ignore"))
    lines = audited(api, everything("Request", omitStages=["RequestReceived"]))
    await api.must("POST", CMS, config_map("a"))
    told = {key: text for key, text in lines[-1]["annotations"].items() if "webhook" in key}
    mutation, by_patch = "mutation.webhook.admission.k8s.io/round_", "patch.webhook.admission.k8s.io/round_0_index_1"
    assert {key: orjson.loads(text) for key, text in told.items() if key.startswith(mutation)} == {
        f"{mutation}0_index_0": {"configuration": "m", "webhook": "a.b.c", "mutated": False},
        f"{mutation}0_index_1": {"configuration": "m", "webhook": "b.b.c", "mutated": True},
        f"{mutation}0_index_2": {"configuration": "m", "webhook": "c.b.c", "mutated": False},
        f"{mutation}1_index_0": {"configuration": "m", "webhook": "a.b.c", "mutated": False},
    }
    assert orjson.loads(told[by_patch]) == {
        "configuration": "m", "webhook": "b.b.c", "patch": [add("/data/b", "1")], "patchType": "JSONPatch",
    }  # fmt: skip
    assert told["failed-open.mutating.webhook.admission.k8s.io/round_0_index_2"] == "c.b.c"
    assert told["failed-open.validating.webhook.admission.k8s.io/round_0_index_1"] == "e.b.c"
    lines = audited(api, everything("Metadata", omitStages=["RequestReceived"]))
    await api.must("POST", CMS, config_map("b"))
    assert by_patch not in lines[-1]["annotations"]


@with_api()
async def test_a_bomb_is_not_put_into_the_log(api):
    lines = audited(api, everything("Request", omitStages=["RequestReceived"]))
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    status, _ = await api.post(CMS, bomb.encode(), content_type="application/yaml")
    assert status == 400 and "requestObject" not in lines[-1]


@with_api()
async def test_the_level_that_a_pod_was_held_to(api):
    lines = audited(api, everything("Metadata", omitStages=["RequestReceived"]))
    labels = {"pod-security.kubernetes.io/enforce": "privileged", "pod-security.kubernetes.io/audit": "baseline"}
    await api.must("PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": labels}}, content_type=MERGE)
    await api.server.barrier.fresh()
    await with_account(api)
    await api.must("POST", "/api/v1/namespaces/default/pods", pod("p", hostNetwork=True))
    told = lines[-1]["annotations"]
    assert told["pod-security.kubernetes.io/enforce-policy"] == "privileged:latest"
    assert "host namespaces" in told["pod-security.kubernetes.io/audit-violations"]


@with_api()
async def test_refusals_and_strangers_are_told_of(api):
    lines = audited(api, everything("Metadata", omitStages=["RequestReceived"]))
    assert (await api.get(CMS, identity=JANE))[0] == 403
    (event,) = lines
    assert event["responseStatus"]["code"] == 403 and event["responseStatus"]["reason"] == "Forbidden"
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert "requestObject" not in event and "responseObject" not in event
    answer = api.handler.refuse(ApiCall(JANE, "GET", CMS), errors.unauthorized())
    assert answer.status == 401 and lines[1]["responseStatus"]["code"] == 401


@with_api()
async def test_a_watch_is_told_of_when_it_begins_and_when_it_ends(api):
    lines = audited(api, everything("RequestResponse"))
    watch = await api.watch(f"{CMS}?watch=1")
    assert [event["stage"] for event in lines] == ["RequestReceived", "ResponseStarted"]
    await watch.close()
    assert [event["stage"] for event in lines][2:] == ["ResponseComplete"]


def written(path, **limits) -> RotatingFile:
    settings = {"max_bytes": 100, "max_backups": 2, "max_age_days": 0} | limits
    clock = ManualClock()
    file = RotatingFile(path, clock, **settings)
    for number in range(20):
        file.write(f"{number:02d}".encode() * 20 + b"\n")
        clock.advance(1)
    return file


def test_files_rotate_and_old_ones_go(tmp_path):
    written(tmp_path / "logs" / "audit.log")
    files = sorted((tmp_path / "logs").iterdir())
    assert len(files) == 3 and all(file.stat().st_size <= 100 for file in files)
    assert files[-1].name == "audit.log" and files[-1].stat().st_mode & 0o777 == 0o600
    kept = b"".join(file.read_bytes() for file in files)
    assert kept.count(b"\n") == 6 and b"19" * 20 in kept


def test_old_files_go_by_age(tmp_path):
    file = written(tmp_path / "audit.log", max_backups=0, max_age_days=1)
    old = next(tmp_path.glob("audit-*.log"))
    os.utime(old, (1_600_000_000, 1_600_000_000))
    file.write(b"x" * 99)
    assert not old.exists()


def test_a_disk_that_refuses_costs_events_and_nothing_else(tmp_path):
    (tmp_path / "audit.log").mkdir()
    file = RotatingFile(tmp_path / "audit.log", ManualClock(), max_bytes=0, max_backups=0, max_age_days=0)
    writer = LineWriter(file, structlog.get_logger())
    writer.append(b"{}\n")
    writer.flush()
    assert (writer.written, writer.dropped) == (0, 1)
