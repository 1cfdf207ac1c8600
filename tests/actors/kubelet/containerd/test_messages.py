"""The kubelet's records to CRI messages and back; containerd's errors and events in the kubelet's words."""

from dataclasses import replace

import pytest
from google.protobuf.any_pb2 import Any

from actors.kubelet.containerd import faults, replies, requests
from actors.kubelet.containerd.proto import cri_pb2 as cri
from actors.kubelet.containerd.proto import events_pb2, task_events_pb2
from actors.kubelet.runtime import (
    CONTAINER_NAME_LABEL,
    POD_NAME_LABEL,
    POD_NAMESPACE_LABEL,
    POD_UID_LABEL,
    ContainerSecurity,
    ContainerSpec,
    ContainerState,
    Dns,
    EventKind,
    ImagePullFailed,
    Mount,
    NamespaceMode,
    NotInRuntime,
    PortMapping,
    Propagation,
    Resources,
    RuntimeEvent,
    RuntimeRefused,
    RuntimeUnreachable,
    SandboxSpec,
    Seccomp,
)

LABELS = {POD_NAME_LABEL: "web", POD_NAMESPACE_LABEL: "shop", POD_UID_LABEL: "u1"}
SANDBOX = SandboxSpec(
    pod_name="web", pod_namespace="shop", pod_uid="u1", attempt=2, hostname="web", log_directory="/logs",
    qos_class="Burstable", dns=Dns(("10.96.0.10",), ("shop.svc.cluster.local",), ("ndots:5",)),
    port_mappings=(PortMapping("UDP", 53, 5353, "127.0.0.1"),), labels=LABELS, annotations={"a": "b"},
    pid=NamespaceMode.NODE, sysctls={"net.core.somaxconn": "1024"},
)  # fmt: skip
PAUSE = Seccomp("Localhost", "/pause.json")


def container(**changes) -> ContainerSpec:
    fields = {"name": "nginx", "attempt": 1, "image": "nginx:1", "image_id": "sha256:1"} | changes
    return ContainerSpec(**fields)


def test_a_sandbox():
    config = requests.sandbox_config(SANDBOX, "/kubus/podu1", PAUSE)
    assert (config.metadata.name, config.metadata.uid, config.metadata.attempt) == ("web", "u1", 2)
    assert config.linux.cgroup_parent == "/kubus/podu1"
    assert list(config.dns_config.options) == ["ndots:5"]
    assert config.port_mappings[0].protocol == cri.UDP
    assert dict(config.linux.sysctls) == {"net.core.somaxconn": "1024"}
    options = config.linux.security_context.namespace_options
    assert (options.network, options.pid, options.ipc) == (cri.POD, cri.NODE, cri.POD)
    assert requests.port_mappings(config) == list(SANDBOX.port_mappings)
    assert config.linux.security_context.seccomp.localhost_ref == "/pause.json"


def test_a_sandbox_has_the_seccomp_profile_that_its_pod_names():
    spec = replace(SANDBOX, security=ContainerSecurity(seccomp=Seccomp("RuntimeDefault")))
    made = requests.sandbox_config(spec, "", PAUSE).linux.security_context.seccomp
    assert made.profile_type == cri.SecurityProfile.RuntimeDefault


def test_a_container_takes_over_its_sandboxs_namespaces():
    sandbox = requests.sandbox_config(SANDBOX, "/kubus/podu1", PAUSE)
    config = requests.container_config(container(), sandbox)
    assert config.linux.security_context.namespace_options == sandbox.linux.security_context.namespace_options
    assert config.image.image == "sha256:1"
    assert config.image.annotations[requests.REQUESTED_IMAGE] == "nginx:1"


def test_a_containers_security():
    security = ContainerSecurity(
        run_as_user=0, run_as_group=7, supplemental_groups=(8, 9), readonly_rootfs=True, no_new_privileges=True,
        add_capabilities=("NET_ADMIN",), drop_capabilities=("ALL",), seccomp=Seccomp("Localhost", "/p.json"),
    )  # fmt: skip
    sandbox = requests.sandbox_config(SANDBOX, "", PAUSE)
    made = requests.container_config(container(security=security), sandbox).linux.security_context
    assert made.HasField("run_as_user")  # 0 is root, and not "as the image says"
    assert made.run_as_user.value == 0
    assert made.run_as_group.value == 7
    assert list(made.supplemental_groups) == [8, 9]
    assert made.readonly_rootfs
    assert made.no_new_privs
    assert list(made.capabilities.drop_capabilities) == ["ALL"]
    assert made.seccomp.profile_type == cri.SecurityProfile.Localhost
    assert made.seccomp.localhost_ref == "/p.json"
    assert "/proc/kcore" in made.masked_paths
    assert not made.HasField("apparmor")


def test_without_a_user_the_image_decides_and_seccomp_is_unconfined():
    made = requests.container_config(container(), requests.sandbox_config(SANDBOX, "", PAUSE)).linux.security_context
    assert not made.HasField("run_as_user")
    assert made.seccomp.profile_type == cri.SecurityProfile.Unconfined


def test_a_privileged_container_sees_all_of_proc():
    security = ContainerSecurity(privileged=True)
    sandbox = requests.sandbox_config(SANDBOX, "", PAUSE)
    made = requests.container_config(container(security=security), sandbox).linux.security_context
    assert (list(made.masked_paths), list(made.readonly_paths)) == ([], [])


def test_mounts_env_and_resources():
    spec = container(
        env=(("A", "1"), ("B", "")),
        mounts=(Mount("/h", "/c", readonly=True, propagation=Propagation.BIDIRECTIONAL),),
        resources=Resources(cpu_shares=512, cpu_quota_us=50_000, memory_limit_bytes=64, hugepage_limits={"2MB": 8}),
    )
    config = requests.container_config(spec, requests.sandbox_config(SANDBOX, "", PAUSE))
    assert [(item.key, item.value) for item in config.envs] == [("A", "1"), ("B", "")]
    mount = config.mounts[0]
    assert (mount.host_path, mount.container_path, mount.readonly) == ("/h", "/c", True)
    assert mount.propagation == cri.PROPAGATION_BIDIRECTIONAL
    resources = config.linux.resources
    assert (resources.cpu_shares, resources.cpu_quota, resources.cpu_period) == (512, 50_000, 100_000)
    assert resources.memory_swap_limit_in_bytes == resources.memory_limit_in_bytes == 64
    assert resources.hugepage_limits[0].page_size == "2MB"


def test_no_quota_means_no_period():
    assert requests.linux_resources(Resources()).cpu_period == 0


@pytest.mark.parametrize(("duration_s", "whole"), [(0, 0), (0.1, 1), (30, 30), (30.2, 31), (-1, 0)])
def test_a_grace_is_never_rounded_down(duration_s, whole):
    assert requests.whole_seconds(duration_s) == whole


def test_a_container_comes_back_under_the_name_that_the_pod_asked_for():
    message = cri.Container(
        id="c1", pod_sandbox_id="s1", metadata=cri.ContainerMetadata(name="nginx", attempt=3),
        image=cri.ImageSpec(image="sha256:1", annotations={requests.REQUESTED_IMAGE: "nginx:1"}),
        image_ref="sha256:1", state=cri.CONTAINER_RUNNING, labels={**LABELS, CONTAINER_NAME_LABEL: "nginx"},
    )  # fmt: skip
    found = replies.container(message)
    assert (found.image, found.image_id, found.state) == ("nginx:1", "sha256:1", ContainerState.RUNNING)
    assert (found.pod_uid, found.pod_namespace, found.attempt) == ("u1", "shop", 3)


def test_a_states_number_that_is_not_known_is_unknown():
    assert replies.container(cri.Container(state=17)).state is ContainerState.UNKNOWN


def test_a_sandbox_in_the_nodes_network_has_no_address_of_its_own():
    message = cri.PodSandboxStatus(id="s", network=cri.PodSandboxNetworkStatus(ip="10.0.0.1"))
    assert replies.sandbox_status(message).ips == ("10.0.0.1",)
    message.linux.namespaces.options.network = cri.NODE
    assert replies.sandbox_status(message).ips == ()
    assert replies.sandbox_status(message).host_network


def test_an_images_user_is_a_number_or_a_name():
    assert replies.image(cri.Image(uid=cri.Int64Value(value=0))).user == "0"
    assert replies.image(cri.Image(username="nobody")).user == "nobody"
    assert replies.image(cri.Image()).user == ""


def test_the_runtimes_status_says_why_not():
    conditions = [
        cri.RuntimeCondition(type="RuntimeReady", status=True),
        cri.RuntimeCondition(type="NetworkReady", status=False, reason="NetworkPluginNotReady", message="no config"),
    ]
    found = replies.runtime_status(cri.RuntimeStatus(conditions=conditions))
    assert (found.runtime_ready, found.network_ready) == (True, False)
    assert found.message == "NetworkReady: NetworkPluginNotReady: no config"


def event(kind: str, message) -> events_pb2.Envelope:
    return events_pb2.Envelope(event=Any(type_url=kind, value=message.SerializeToString()))


@pytest.mark.parametrize("prefix", ["", "type.googleapis.com/"])
def test_events(prefix):
    def read(name, message):
        return replies.runtime_event(event(f"{prefix}containerd.events.{name}", message))

    exited = task_events_pb2.TaskExit(container_id="c", id="c", exit_status=3)
    assert read("TaskExit", exited) == RuntimeEvent(EventKind.EXITED, "c", 3)
    assert read("TaskOOM", task_events_pb2.TaskOOM(container_id="c")) == RuntimeEvent(EventKind.OOM, "c")
    assert read("TaskStart", task_events_pb2.TaskStart(container_id="c")) == RuntimeEvent(EventKind.STARTED, "c")
    assert read("ContainerDelete", task_events_pb2.ContainerDelete(id="c")) == RuntimeEvent(EventKind.REMOVED, "c")
    assert read("TaskPaused", task_events_pb2.TaskStart()) is None


def test_the_end_of_an_exec_is_not_the_end_of_its_container():
    exited = task_events_pb2.TaskExit(container_id="c", id="exec-1")
    assert replies.runtime_event(event("containerd.events.TaskExit", exited)) is None


def test_an_event_that_cannot_be_read_is_none():
    broken = events_pb2.Envelope(event=Any(type_url="containerd.events.TaskExit", value=b"\xff\xff"))
    assert replies.runtime_event(broken) is None


@pytest.mark.parametrize(
    ("code", "details", "kind"),
    [
        ("NOT_FOUND", "an error occurred when try to find sandbox: not found", NotInRuntime),
        ("UNAVAILABLE", "failed to connect to all addresses; last error: refused", RuntimeUnreachable),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", RuntimeUnreachable),
        ("UNKNOWN", "server is not initialized yet", RuntimeUnreachable),
        ("UNIMPLEMENTED", "unknown service runtime.v1.RuntimeService", RuntimeUnreachable),
        ("UNKNOWN", "failed to create containerd task: no such file", RuntimeRefused),
        ("INVALID_ARGUMENT", "no", RuntimeRefused),
    ],
)  # fmt: skip
def test_codes(code, details, kind):
    assert type(faults.fault_of(code, details)) is kind


def test_a_refused_connection_is_told_in_short():
    fault = faults.fault_of(
        "UNAVAILABLE", "failed to connect to all addresses; last error: x error: Connection refused"
    )
    assert str(fault) == "containerd does not answer: Connection refused"


PULL = 'failed to pull and unpack image "r.example/x:1": failed to resolve reference "r.example/x:1": '


@pytest.mark.parametrize(
    ("details", "kind"),
    [
        (PULL + "r.example/x:1: not found", faults.ImageNotFound),
        (PULL + "failed to do request: Head: dial tcp: lookup r.example: no such host", faults.RegistryUnreachable),
        (PULL + "failed to do request: dial tcp 1.2.3.4:443: i/o timeout", faults.RegistryUnreachable),
        (PULL + "failed to authorize: failed to fetch token: 401 Unauthorized", faults.PullUnauthorized),
        (PULL + "pull access denied: insufficient_scope: authorization failed", faults.PullUnauthorized),
        (PULL + "unexpected status: 403 Forbidden: forbidden", faults.PullUnauthorized),
        ('failed to parse image reference ":::": invalid reference format', faults.InvalidImageName),
        (PULL + "no match for platform in manifest: not found", faults.ImageNotFound),
        ("something new", ImagePullFailed),
    ],
)
def test_a_failed_pull_says_whose_turn_it_is(details, kind):
    fault = faults.pull_fault_of("r.example/x:1", RuntimeRefused(details))
    assert type(fault) is kind
    assert "r.example/x:1" in str(fault)
    assert details in str(fault)


def test_a_pull_without_containerd_is_not_the_images_fault():
    fault = RuntimeUnreachable("away")
    assert faults.pull_fault_of("x", fault) is fault


def test_kubus_own_images_come_from_archives():
    fault = faults.pull_fault_of("kubus.local/x:1", RuntimeRefused("lookup kubus.local: no such host"))
    assert type(fault) is faults.ImageNotFound
    assert "kubus image import" in str(fault)


def test_an_exec_that_ran_out_of_time():
    assert faults.exec_timed_out("failed to exec in container: timeout 1s exceeded: context deadline exceeded")
    assert not faults.exec_timed_out("no such file or directory")


def test_who_has_the_name_of_a_sandbox():
    said = 'failed to reserve sandbox name "p_ns_u1_0": name "p_ns_u1_0" is reserved for "0cd30135767e"'
    assert faults.name_holder(said) == "0cd30135767e"
    assert faults.name_holder("failed to set up the sandbox's network") == ""


@pytest.mark.parametrize(
    ("message", "state"),
    [
        (
            "failed to create containerd task: failed to create shim task: context canceled: unknown",
            ContainerState.CREATED,
        ),
        ('failed to start containerd task "x": context canceled: unknown', ContainerState.EXITED),
        ("failed to create containerd task: exec: no such file", ContainerState.EXITED),
    ],
)
def test_a_container_whose_start_died_with_its_kubelet_never_ran(message, state):
    """Found by killing kubelets: a pod that never restarts had failed without having run."""
    ended = cri.ContainerStatus(
        id="c1", state=cri.CONTAINER_EXITED, reason="StartError", exit_code=128, message=message, created_at=5
    )
    assert replies.container_status(ended, "s1").container.state is state
