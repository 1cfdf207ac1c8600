"""What a command is started with, and where a sandbox's network is: documents in, documents out."""

import json

import pytest

from actors.kubelet.containerd.streaming_spec import network_namespace, process_spec

CONTAINER = {
    "process": {
        "args": ["httpd"], "env": ["PATH=/bin", "TERM=dumb"], "cwd": "/www", "user": {"uid": 7, "gid": 8},
        "capabilities": {"bounding": ["CAP_CHOWN"]}, "consoleSize": {"width": 1, "height": 2}, "noNewPrivileges": True,
    },
    "root": {"path": "rootfs"},
}  # fmt: skip


def made(tty: bool) -> dict:
    return json.loads(process_spec(json.dumps(CONTAINER).encode(), ["sh", "-c", "x"], tty))


def test_a_command_inherits_all_but_its_arguments():
    process = made(tty=False)
    assert process["args"] == ["sh", "-c", "x"]
    assert process["terminal"] is False
    assert "consoleSize" not in process
    for name in ("env", "cwd", "user", "capabilities", "noNewPrivileges"):
        assert process[name] == CONTAINER["process"][name]


def test_a_terminal_has_a_term():
    process = made(tty=True)
    assert process["terminal"] is True
    assert process["env"] == ["PATH=/bin", "TERM=xterm"]


@pytest.mark.parametrize("document", [b"{}", b"[]", b"not json", b'{"process": null}'])
def test_a_container_without_a_process(document):
    with pytest.raises(ValueError):
        process_spec(document, ["sh"], False)


@pytest.mark.parametrize(
    ("namespaces", "path"),
    [
        ([{"type": "pid"}, {"type": "network", "path": "/run/netns/x"}], "/run/netns/x"),
        ([{"type": "network"}], "/proc/42/ns/net"),
        ([{"type": "pid"}], ""),
    ],
)
def test_where_a_sandbox_s_network_is(namespaces, path):
    info = {"pid": 42, "runtimeSpec": {"linux": {"namespaces": namespaces}}}
    assert network_namespace(json.dumps(info)) == path
