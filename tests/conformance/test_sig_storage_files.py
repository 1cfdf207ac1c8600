"""sig-storage: what containers find in configMap, secret, projected, downwardAPI and emptyDir volumes.

Each behaviour is a pod (or two) that looks at its files and ends; all of them run side by side.
"""

import base64
from typing import Any

import pytest

from tests.cluster import eventually
from tests.conformance.pods import (
    NOBODY_ELSE,
    Space,
    config_map,
    container,
    pod,
    script,
    secret,
    with_volumes,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

PLAIN, OWNER_READS, GROUP_READS, ALL_READ = "-rw-r--r--", "-r--------", "-r--r-----", "-r--r--r--"
GROUP = 1001
TYPE = "; grep ' /v ' /proc/mounts | cut -d' ' -f3"  # of the file system
AMOUNTS = {"requests": {"cpu": "250m", "memory": "32Mi"}, "limits": {"cpu": "1250m", "memory": "64Mi"}}

Case = tuple[dict[str, Any], list[str]]  # a pod, and the lines that it prints


def show(*paths: str) -> str:
    return "; ".join(f"stat -L -c %A {path}; cat {path}; echo" for path in paths)


def config(projected: bool = False, **fields: Any) -> dict:
    return _of("configMap", "name", projected, fields)


def secrets(projected: bool = False, **fields: Any) -> dict:
    return _of("secret", "name" if projected else "secretName", projected, fields)


def _of(kind: str, name: str, projected: bool, fields: dict) -> dict:
    if not projected:
        return {kind: {name: "data", **fields}}
    mode = {"defaultMode": fields.pop("defaultMode")} if "defaultMode" in fields else {}
    return {"projected": {"sources": [{kind: {name: "data", **fields}}], **mode}}


def downward(*items: dict, projected: bool = False, **fields: Any) -> dict:
    source = {"items": list(items)}
    return (
        {"projected": {"sources": [{"downwardAPI": source}], **fields}}
        if projected
        else {"downwardAPI": source | fields}
    )


def item(path: str, field: str = "", resource: str = "", **more: Any) -> dict:
    if field:
        return {"path": path, "fieldRef": {"fieldPath": field}, **more}
    return {"path": path, "resourceFieldRef": {"containerName": "c", "resource": resource}, **more}


def reads(
    source: dict, mode: str = PLAIN, path: str = "data-1", user: int | None = None, group: int | None = None
) -> Case:
    """A pod that shows the mode and the content of a file of a volume."""
    ids = {name: value for name, value in (("runAsUser", user), ("fsGroup", group)) if value is not None}
    made = script(show(f"/v/{path}"), {"/v": source}, **({"securityContext": ids} if ids else {}))
    return made, [mode, "value-1"]


def two_volumes(source: dict) -> Case:
    made = script(show("/v/data-1", "/w/data-1"), {"/v": source, "/w": source})
    return made, [PLAIN, "value-1", PLAIN, "value-1"]


def tells(source: dict, line: str, mode: str = PLAIN, **fields: Any) -> Case:
    return script(show("/v/file"), {"/v": source}, name=fields.pop("name", ""), **fields), [mode, line]


def empty_dir(medium: str, mode: int, shown: str, user: int | None = None) -> Case:
    look = f"umask 0; echo hello > /v/f; chmod {mode:o} /v/f; stat -c %A /v/f; cat /v/f" + (TYPE if medium else "")
    ids = {"securityContext": {"runAsUser": user}} if user else {}
    made = script(look, {"/v": {"emptyDir": {"medium": medium} if medium else {}}}, **ids)
    return made, [shown, "hello", *(["tmpfs"] if medium else ())]


def new_volume(medium: str) -> Case:
    source = {"emptyDir": {"medium": medium} if medium else {}}
    return script("stat -c %A /v" + (TYPE if medium else ""), {"/v": source}), [
        "drwxrwxrwx",
        *(["tmpfs"] if medium else ()),
    ]


def sub_path(source: dict, key: str, line: str, target: str = "/v", **fields: Any) -> Case:
    """A pod that mounts one file of a volume."""
    made = script(f"cat {target}", {target: source}, **fields)
    made["spec"]["containers"][0]["volumeMounts"][0]["subPath"] = key
    return made, [line]


MAPPED = {"items": [{"key": "data-1", "path": "path/to/data-2"}]}
MAPPED_0400 = {"items": [{"key": "data-1", "path": "path/to/data-2", "mode": 0o400}]}
AT = "path/to/data-2"

COMBINED = {
    "projected": {
        "sources": [
            {"secret": {"name": "data", "items": [{"key": "data-1", "path": "secret"}]}},
            {"configMap": {"name": "data", "items": [{"key": "data-1", "path": "config"}]}},
            {"downwardAPI": {"items": [item("name", "metadata.name"), item("cpu", resource="limits.cpu")]}},
            {"downwardAPI": {"items": [item("memory", resource="requests.memory")]}},
        ]
    }
}

CASES: dict[str, list[Case]] = {
    "ConfigMap Volume, without mapping": [reads(config())],
    "ConfigMap Volume, without mapping, non-root user": [reads(config(), user=NOBODY_ELSE)],
    "ConfigMap Volume, without mapping, volume mode set": [reads(config(defaultMode=0o400), OWNER_READS)],
    "ConfigMap Volume, with mapping": [reads(config(**MAPPED), path=AT)],
    "ConfigMap Volume, with mapping, volume mode set": [reads(config(**MAPPED_0400), OWNER_READS, AT)],
    "ConfigMap Volume, with mapping, non-root user": [reads(config(**MAPPED), path=AT, user=NOBODY_ELSE)],
    "ConfigMap Volume, multiple volume maps": [two_volumes(config())],
    "ConfigMap Volume, text data, binary data": [
        (
            script("cat /v/data-1; echo; od -An -v -tx1 /v/dump.bin | tr -d '\\n'", {"/v": config()}),
            ["value-1", " de ca fe ba d0 fe ff"],
        )
    ],
    "Secrets Volume, default": [reads(secrets())],
    "Secrets Volume, volume mode 0440, fsGroup 1001 and uid 1000": [
        reads(secrets(defaultMode=0o440), GROUP_READS, user=NOBODY_ELSE, group=GROUP)
    ],
    "Secrets Volume, volume mode 0400": [reads(secrets(defaultMode=0o400), OWNER_READS)],
    "Secrets Volume, mapping": [reads(secrets(**MAPPED), path=AT)],
    "Secrets Volume, mapping, volume mode 0400": [reads(secrets(**MAPPED_0400), OWNER_READS, AT)],
    "Secrets Volume, mapping multiple volume paths": [two_volumes(secrets())],
    "Projected Volume, multiple projections": [
        (
            script(
                "cd /v; for f in secret config name cpu memory; do cat $f; echo; done",
                {"/v": COMBINED},
                name="combined",
                resources=AMOUNTS,
            ),
            ["value-1", "value-1", "combined", "2", str(32 << 20)],
        )
    ],  # fmt: skip
    "Projected Volume, ConfigMap, volume mode default": [reads(config(True))],
    "Projected Volume, ConfigMap, non-root user": [reads(config(True), user=NOBODY_ELSE)],
    "Projected Volume, ConfigMap, mapped": [reads(config(True, **MAPPED), path=AT)],
    "Projected Volume, ConfigMap, mapped, volume mode 0400": [reads(config(True, **MAPPED_0400), OWNER_READS, AT)],
    "Projected Volume, ConfigMap, mapped, non-root user": [reads(config(True, **MAPPED), path=AT, user=NOBODY_ELSE)],
    "Project Volume, Secrets, non-root, custom fsGroup": [
        reads(secrets(True, defaultMode=0o440), GROUP_READS, user=NOBODY_ELSE, group=GROUP)
    ],
    "Projected Volume, Secrets, volume mode 0400": [reads(secrets(True, defaultMode=0o400), OWNER_READS)],
    "Projected Volume, Secrets, mapped": [reads(secrets(True, **MAPPED), path=AT)],
    "Projected Volume, Secrets, mapped, multiple paths": [two_volumes(secrets(True))],
    "EmptyDir, medium memory, volume mode 0644, non-root user": [empty_dir("Memory", 0o644, "-rw-r--r--", GROUP)],
    "EmptyDir, medium default, volume mode 0666": [
        empty_dir("", 0o666, "-rw-rw-rw-", GROUP),
        empty_dir("", 0o666, "-rw-rw-rw-"),
    ],
    "EmptyDir, medium memory, volume mode 0666,, non-root user": [empty_dir("Memory", 0o666, "-rw-rw-rw-", GROUP)],
    "EmptyDir, medium memory, volume mode 0777, non-root user": [empty_dir("Memory", 0o777, "-rwxrwxrwx", GROUP)],
    "EmptyDir, medium default, volume mode 0644": [empty_dir("", 0o644, "-rw-r--r--")],
    "EmptyDir, medium memory, volume mode 0644": [empty_dir("Memory", 0o644, "-rw-r--r--")],
    "EmptyDir, medium memory, volume mode 0666": [empty_dir("Memory", 0o666, "-rw-rw-rw-")],
    "EmptyDir, medium default, volume mode 0777": [empty_dir("", 0o777, "-rwxrwxrwx")],
    "EmptyDir, medium memory, volume mode 0777": [empty_dir("Memory", 0o777, "-rwxrwxrwx")],
    "EmptyDir, medium default, volume mode default": [new_volume("")],
    "EmptyDir, medium memory, volume mode default": [new_volume("Memory")],
    "EmptyDir Wrapper Volume, Secret and ConfigMap volumes, no conflict": [
        (
            script(
                "cat /s/data-1 /c/data-1; echo; touch /e/f", {"/s": secrets(), "/c": config(), "/e": {"emptyDir": {}}}
            ),
            ["value-1value-1"],
        )
    ],
    "SubPath: Reading content from a configmap volume.": [
        sub_path(config(), "data-1", "value-1"),
        sub_path(config(), "data-1", "value-1", "/etc/resolv.conf"),
    ],
    "SubPath: Reading content from a downwardAPI volume.": [
        sub_path(downward(item("downward/name", "metadata.name")), "downward/name", "sub-path", name="sub-path")
    ],
    "SubPath: Reading content from a secret volume.": [sub_path(secrets(), "data-1", "value-1")],
}


def own_amount(resource: str, value: str, projected: bool) -> Case:
    return tells(downward(item("file", resource=resource), projected=projected), value, resources=AMOUNTS)


def own_name(name: str, projected: bool, mode: str = PLAIN, of_item: dict | None = None, **fields: Any) -> Case:
    source = downward(item("file", "metadata.name", **(of_item or {})), projected=projected, **fields)
    return tells(source, name, mode, name=name)


MEMORY, MEMORY_REQUEST = str(64 << 20), str(32 << 20)
CASES |= {
    "DownwardAPI volume, CPU limits": [own_amount("limits.cpu", "2", projected=False)],
    "DownwardAPI volume, memory limits": [own_amount("limits.memory", MEMORY, projected=False)],
    "DownwardAPI volume, memory request": [own_amount("requests.memory", MEMORY_REQUEST, projected=False)],
    "DownwardAPI volume, pod name": [own_name("plain-name", projected=False)],
    "DownwardAPI volume, volume mode 0400": [own_name("plain-mode", False, OWNER_READS, defaultMode=0o400)],
    "DownwardAPI volume, file mode 0400": [own_name("plain-item", False, OWNER_READS, {"mode": 0o400})],
    "Projected Volume, DownwardAPI, CPU limits": [own_amount("limits.cpu", "2", projected=True)],
    "Projected Volume, DownwardAPI, CPU request": [own_amount("requests.cpu", "1", projected=True)],
    "Projected Volume, DownwardAPI, memory limits": [own_amount("limits.memory", MEMORY, projected=True)],
    "Projected Volume, DownwardAPI, pod name": [own_name("projected-name", projected=True)],
    "Projected Volume, DownwardAPI, volume mode 0400": [
        own_name("projected-mode", True, OWNER_READS, defaultMode=0o400),
        own_name("projected-item", True, OWNER_READS, {"mode": 0o400}),
    ],
}


@pytest.fixture(scope="module")
def started(space: Space) -> dict[str, list[str]]:
    """The names of the pods of each behaviour."""
    binary = {"dump.bin": base64.b64encode(bytes.fromhex("decafebad0feff")).decode()}
    space.create("configmaps", config_map("data", {"data-1": "value-1"}, binaryData=binary))
    space.create("secrets", secret("data", {"data-1": "value-1"}))
    return {behaviour: [space.start(made) for made, _ in cases] for behaviour, cases in CASES.items()}


@pytest.mark.parametrize("behaviour", CASES)
def test_a_container_finds(behaviour: str, space: Space, started: dict[str, list[str]]):
    for name, (_, lines) in zip(started[behaviour], CASES[behaviour], strict=True):
        assert space.output(name).splitlines() == lines


def test_a_limit_that_is_not_set_is_what_the_node_has(space: Space):
    """
    Projected Volume, DownwardAPI, CPU limit, node allocatable
    Projected Volume, DownwardAPI, memory limit, node allocatable
    """
    source = downward(item("cpu", resource="limits.cpu"), item("memory", resource="limits.memory"), projected=True)
    cpu, memory = space.run(script("cat /v/cpu; echo; cat /v/memory; echo", {"/v": source})).split()
    allocatable = Space(space.api, "").list("nodes")[0]["status"]["allocatable"]
    whole_cpus = allocatable["cpu"].endswith("m") and -(-int(allocatable["cpu"][:-1]) // 1000)
    assert int(cpu) == (whole_cpus or int(allocatable["cpu"]))
    assert int(memory) == int(allocatable["memory"].removesuffix("Ki")) << 10


def test_containers_share_a_volume(space: Space):
    """EmptyDir, Shared volumes between containers"""
    shared = {"/v": {"emptyDir": {}}}
    reader, volumes = with_volumes(container("until [ -s /v/f ]; do sleep 0.05; done; cat /v/f"), shared)
    writer, _ = with_volumes(container("sleep 0.3; echo shared > /v/t; mv /v/t /v/f", "writer"), shared)
    assert space.run(pod(reader, writer, volumes=volumes)) == "shared\n"


# -- changes ----------------------------------------------------------------------------------------------------------

# Says every 0.2 s what the files hold, as "path=content"; what can't be read is empty.
WATCH = 'while sleep 0.2; do for f in {}; do echo -n "$f=$(cat $f 2>/dev/null) "; done; echo; done'


def last_line(space: Space, name: str) -> str:
    return (space.log(name).splitlines() or [""])[-1].strip()


def says(space: Space, name: str, line: str) -> None:
    eventually(lambda: last_line(space, name) == line, f"the last line of {name} is {line!r}", 20)


def by_kind(kind: str, name: str, **fields: Any) -> dict:
    """Return a volume source of an optional object."""
    of, projected = kind.removeprefix("projected "), kind.startswith("projected ")
    source = config(projected, **fields) if of == "configMap" else secrets(projected, **fields)
    inner = source["projected"]["sources"][0][of] if projected else source[of]
    inner.update({"name" if of == "configMap" or projected else "secretName": name, "optional": True})
    return source


KINDS = {
    "ConfigMap Volume, create, update and delete": "configMap",
    "ConfigMap Volume, update": "configMap",
    "Secrets Volume, create, update and delete": "secret",
    "Projected Volume, ConfigMap, update": "projected configMap",
    "Projected Volume, Secrets, create, update delete": "projected secret",
}


@pytest.mark.parametrize("behaviour", KINDS)
def test_changes_reach_the_volumes_of_a_pod(behaviour: str, space: Space):
    kind = KINDS[behaviour]
    resource, of = ("configmaps", config_map) if "configMap" in kind else ("secrets", secret)
    prefix = "".join(char for char in behaviour.lower() if char.isalnum())
    for name in ("update", "delete"):
        space.create(resource, of(f"{prefix}-{name}", {"f": "value-1"}))
    volumes = {f"/{name}": by_kind(kind, f"{prefix}-{name}") for name in ("create", "update", "delete")}
    name = space.start(script(WATCH.format("/create/f /update/f /delete/f"), volumes))
    says(space, name, "/create/f= /update/f=value-1 /delete/f=value-1")
    space.create(resource, of(f"{prefix}-create", {"f": "value-3"}))
    space.patch(resource, f"{prefix}-update", of("x", {"f": "value-2"}) | {"metadata": {}})
    space.delete(resource, f"{prefix}-delete")
    says(space, name, "/create/f=value-3 /update/f=value-2 /delete/f=")
    space.remove(name)


LABELS = {
    "DownwardAPI volume, update label": ("labels", False),
    "Projected Volume, DownwardAPI, update labels": ("labels", True),
    "Projected Volume, DownwardAPI, update annotation": ("annotations", True),
}


@pytest.mark.parametrize("behaviour", LABELS)
def test_changed_labels_and_annotations_reach_the_volume(behaviour: str, space: Space):
    field, projected = LABELS[behaviour]
    source = downward(item("f", f"metadata.{field}"), projected=projected)
    name = space.start(script(WATCH.format("/v/f"), {"/v": source}, **{field: {"builder": "bar"}}))
    says(space, name, '/v/f=builder="bar"')
    space.patch("pods", name, {"metadata": {field: {"builder": "foo"}}})
    says(space, name, '/v/f=builder="foo"')
    space.remove(name)
