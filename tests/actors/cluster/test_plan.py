"""From config to child specs: what is refused, what is simulated, what starts after what."""

import json
from pathlib import Path

import msgspec
import pytest

from actors.api.addresses import apiserver_bind, bus_endpoints
from actors.api.config import ClusterConfig, of_settings
from actors.api.network import bridge_name
from actors.cluster.compose import compose, preload_of, preparations_of
from actors.cluster.plan import adjusted, check, check_here, load_cluster, node_names
from actors.cluster.simulate import has_real_nodes, simulated
from runtime.config import ConfigError, parse
from runtime.supervisor.spec import ActorLaunch, CommandLaunch, check_specs

CONFIGS = Path(__file__).parents[3] / "configs"
MASTER = "m1: {roles: [state, apiserver]}"


def config(text: str) -> ClusterConfig:
    loaded = parse(text.replace("MASTER", MASTER).encode(), "c.yaml", ClusterConfig)
    check(loaded)
    return loaded.value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name: My Cluster\nnodes: {MASTER}", "c.yaml:1: name: expected lower-case letters"),
        ("nodes:\n  MASTER\n  W_1: {roles: [kubelet]}", "c.yaml:3: nodes.W_1: a node's name"),
        ("nodes: {m1: {roles: [state, state, apiserver]}}", "state is there twice"),
        (f"nodes: {{MASTER, {', '.join(f's{n}: {{roles: [state]}}' for n in range(5))}}}", "at most 5 nodes have the"),
        ("nodes: {MASTER}\nstate: {initial_members: [state@m2]}", "initial_members[0]: state@m2 is no state actor"),
        ("nodes: {MASTER, b: {roles: [balancer]}}", "balancer@b and apiserver@m1 would both listen on 127.0.0.1 port"),
        ("nodes: {MASTER, m2: {roles: [state], address: 127.0.1.1}}", "nodes.m1: key address is missing"),
        ("nodes: {m1: {roles: [state, apiserver], address: here}}", "nodes.m1.address: expected an IP address"),
        (
            "nodes: {m1: {roles: [state, apiserver], address: 127.0.1.1}, m2: {roles: [state], address: 127.0.1.1}}",
            "nodes.m2.bus_port: m1 has ports at 127.0.1.1, too",
        ),
        ("nodes: {MASTER}\nnetwork: {node_ports: 3-2}", "expected a range of ports, as 30000-32767"),
        ("nodes: {MASTER}\napiserver: {port: 30001}", "30001 is within network.node_ports"),
        ("nodes: {MASTER}\napiserver: {processes: 0}", "apiserver.processes: expected 1 to 16, got 0"),
        ("nodes: {MASTER}\nnetwork: {service_cidr: 10.96.0.1/12}", "expected an IPv4 network"),
        ("nodes: {MASTER}\nnetwork: {node_cidr_mask: 8}", "network.node_cidr_mask: expected 16 to 30, got 8"),
        ("nodes: {MASTER, w1: {roles: [kubelet], runtime: simulated, count: 257}}", "has 256 subnets of /24, fewer"),
        ("nodes: {MASTER}\ncontrollers: {renew_deadline_s: 20}", "lease_duration_s > renew_deadline_s"),
        ("nodes: {MASTER}\nstate: {segment_bytes: 0}", "state.segment_bytes: expected more than 0"),
        ("nodes: {MASTER}\nstate: {etcd: {bind: 0.0.0.0, tls: false}}", "state.etcd.tls: without it etcd's clients"),
        ("nodes: {MASTER}\nstate: {etcd: {port: 6443}}", "state@m1 and apiserver@m1 would both listen on 127.0.0.1"),
        ("nodes: {MASTER}\nstate: {backend: etcd, endpoints: ['http://h:1']}", "so no node has the role state"),
        ("nodes: {m1: {roles: [apiserver]}}\nstate: {backend: etcd}", "state: key endpoints is missing"),
        ("nodes: {m1: {roles: [apiserver]}}\nstate: {backend: etcd, endpoints: [h]}", "expected http://HOST:PORT"),
        ("nodes: {MASTER}\nstate: {endpoints: ['http://h:1']}", "state.endpoints: only where state.backend is etcd"),
        ("nodes: {MASTER, w1: {roles: [kubelet], count: 2}}", "only simulated nodes can be more than one"),
        ("nodes: {MASTER, w1: {roles: [kubelet, proxy], runtime: simulated}}", "has no network for a proxy"),
        ("nodes: {MASTER, w1: {roles: [kubelet], kubelet: {lease_renew_s: 50}}}", "less than lease_duration_s"),
        ("nodes: []", "c.yaml:1: nodes: expected keys with values, as {NAME: {roles: [TEXT]}}, got a list"),
        ("nodes: {MASTER, w1: {roles: []}}", "nodes.w1.roles: the list is empty"),
        ("nodes: {MASTER}\napiserver: {bind: '0.0.0.0:80'}", "apiserver.bind: expected an IP address or a name"),
        ("nodes: {MASTER}\napiserver: {bind: 10.0.0.256}", "apiserver.bind: expected an IP address or a name"),
        ("nodes: {MASTER}\nnetwork: {domain: a b}", "expected a DNS domain, as cluster.local, got 'a b'"),
        ("nodes: {MASTER}\nnetwork: {bridge: a-bridge-that-is-long}", "up to 15 letters and digits, got 'a-bridge"),
        ("nodes: {MASTER}\napiserver: {oidc: {issuer_url: x}}", "apiserver.oidc: key client_id is missing"),
        *((f"nodes: {{MASTER, w1: {{roles: [kubelet], {words}}}}}", complaint) for words, complaint in (
            ("capacity: {cpu: lots}", "nodes.w1.capacity.cpu: expected an amount, as 500m, 2 or 64Gi, got 'lots'"),
            ("capacity: {cpu: 32}", 'nodes.w1.capacity.cpu: expected a text, got 32; write it in quotes: "32"'),
            ("capacity: {mem: 1Gi}", "nodes.w1.capacity.mem: no resource of a node; did you mean memory?"),
            ("taints: [{effect: NoSchedule}]", "taints[0]: key is missing; expected a taint, as {key: dedicated"),
            ("taints: [{key: a, effect: NoSchedul}]", "'NoSchedul' is no effect of a taint; did you mean NoSchedule?"),
            ("taints: [{key: a, efect: NoSchedule}]", "taints[0].efect: unknown key; did you mean effect?"),
            ("labels: {a key: x}", "labels.a key: is no key of a label"),
            ("labels: {a: x y}", "labels.a: 'x y' is no value of a label"),
            ("runtime: simulated, runtime_handler: crun", "runtime_handler: only for a containerd that Kubus starts"),
            ("containerd_socket: /c.sock, runtime_handler: runc", "runtime_handler: only for a containerd that Kubus"),
            ("runtime_handler: kata", "runtime_handler: expected"),
            ("containerd_socket: run/c.sock", "containerd_socket: expected an absolute path"),
            ("kubelet: {eviction_hard: {memory: 1Gi}}", "eviction_hard.memory: no signal of eviction; did you mean me"),
            ("kubelet: {eviction_hard: {memory.available: x}}", 'expected an amount or a share, as 100Mi or "10%", g'),
            ("kubelet: {eviction_soft: {memory.available: 5%}}", "needs a grace, too: eviction_soft_grace_period_s"),
            ("kubelet: {image_gc_high_threshold_percent: 50}", "got 80 and 50"),
            ("kubelet: {shutdown_grace_period_s: -1}", "shutdown_grace_period_s: expected 0 or more, got -1"),
            ("kubelet: {shutdown_grace_period_s: 1, shutdown_grace_period_by_pod_priority: "
             "[{priority: 0, shutdown_grace_period_s: 1}]}", "in another way"),
            ("kubelet: {shutdown_grace_period_critical_pods_s: 1}", "is a part of shutdown_grace_period_s"),
            ("kubelet: {pod_manifests: pods}", "pod_manifests: expected the absolute path of a directory"),
            ("kubelet: {system_reserved: {cpu: -1}}", "system_reserved.cpu: expected a text, got -1"),
            ("kubelet: {lease_renew_s: .nan}", "kubelet.lease_renew_s: expected a number, got nan"),
        )),
    ],
)  # fmt: skip
def test_what_can_not_work_is_refused_with_its_place(text, complaint):
    with pytest.raises(ConfigError) as error:
        config(text)
    assert complaint in str(error.value)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_packaged_configs_are_good(path, tmp_path):
    cluster = load_cluster(path).value
    composition = compose(simulated(cluster), tmp_path, tmp_path / "run")
    check_specs(composition.specs)


def test_the_default_is_one_master_and_one_real_worker(tmp_path):
    cluster = load_cluster(None).value
    assert has_real_nodes(cluster)
    specs = {spec.name: spec for spec in compose(cluster, tmp_path, tmp_path / "run").specs}
    assert sorted(specs) == sorted(
        ["state@m1", "apiserver@m1", "scheduler@m1", "controller-manager@m1", "containerd@w1", "kubelet@w1", "proxy@w1"]
    )
    assert specs["apiserver@m1"].after == ("state@m1",)
    assert specs["scheduler@m1"].after == ("apiserver@m1",)
    assert specs["kubelet@w1"].after == ("apiserver@m1", "containerd@w1")
    containerd = specs["containerd@w1"].launch
    assert isinstance(containerd, CommandLaunch)
    assert containerd.socket.endswith("containerd.sock")
    assert len(preparations_of(cluster, tmp_path)) == 2


def test_an_api_server_of_several_processes_is_begun_by_its_first(tmp_path):
    text = "nodes: {MASTER, m2: {roles: [apiserver]}, w1: {roles: [kubelet]}}\napiserver: {processes: 3, port: 7000}"
    cluster = simulated(config(text))
    composition = compose(cluster, tmp_path, tmp_path / "run", ("m1", "w1"))
    check_specs(composition.specs)
    after = {spec.name: spec.after for spec in composition.specs if spec.role != "state"}
    assert after == {
        "apiserver@m1": ("state@m1",),
        "apiserver@m1.2": ("apiserver@m1",),
        "apiserver@m1.3": ("apiserver@m1",),
        "kubelet@w1": ("apiserver@m1",),
    }
    assert {spec.node for spec in composition.specs if spec.role == "apiserver"} == {"m1"}
    known = [name for name in composition.actors if name.startswith("apiserver")]
    assert known == ["apiserver@m1", "apiserver@m1.2", "apiserver@m1.3", "apiserver@m2"]


def test_settings_carry_the_config_as_plain_data(tmp_path):
    cluster = config("nodes: {MASTER, w1: {roles: [kubelet], runtime: simulated, count: 3}}")
    spec = next(spec for spec in compose(cluster, tmp_path, tmp_path).specs if spec.name == "kubelet@w1")
    assert isinstance(spec.launch, ActorLaunch)
    json.dumps(spec.launch.settings)
    assert of_settings(spec.launch.settings) == cluster
    assert spec.launch.settings["node"]["count"] == 3


def test_a_simulated_cluster_runs_no_proxy_and_no_containerd(tmp_path):
    cluster = simulated(load_cluster(None).value)
    assert not has_real_nodes(cluster)
    assert cluster.nodes["w1"].roles == ["kubelet"]
    assert not [spec for spec in compose(cluster, tmp_path, tmp_path).specs if spec.role in ("containerd", "proxy")]
    assert preparations_of(cluster, tmp_path) == []
    assert "actors.proxy.actor" not in preload_of(cluster)


def test_the_command_line_changes_count_and_port():
    cluster = load_cluster(CONFIGS / "simulated.yaml").value
    changed = adjusted(cluster, nodes=100, port=0)
    assert (changed.nodes["w1"].count, changed.apiserver.port) == (100, 0)
    assert node_names(changed)[:2] == ["w1-0", "w1-1"]
    assert node_names(adjusted(cluster, nodes=1)) == ["w1"]
    assert len(node_names(adjusted(cluster, nodes=10_000))) == 10_000
    with pytest.raises(ConfigError, match="--nodes 300: 10.244.0.0/16 has 256 subnets"):
        adjusted(simulated(load_cluster(None).value), nodes=300)
    with pytest.raises(ConfigError, match="this config has none"):
        adjusted(load_cluster(None).value, nodes=5)


def test_a_containerd_that_is_there_already_is_not_started(tmp_path):
    cluster = config("nodes: {MASTER, w1: {roles: [kubelet], containerd_socket: /run/x.sock}}")
    specs = {spec.name: spec for spec in compose(cluster, tmp_path, tmp_path).specs}
    assert "containerd@w1" not in specs
    assert specs["kubelet@w1"].after == ("apiserver@m1",)
    assert msgspec.to_builtins(cluster)["nodes"]["w1"]["containerd_socket"] == "/run/x.sock"


def test_nodes_on_one_machine_have_bridges_of_their_own():
    cluster = config("nodes: {MASTER, w1: {roles: [kubelet]}, w2: {roles: [kubelet]}, w3: {roles: [kubelet]}}")
    names = [bridge_name("/data", cluster, node) for node in ("w1", "w2", "w3")]
    assert names == [names[0], f"{names[0]}1", f"{names[0]}2"] and all(len(name) < 16 for name in names)
    addresses = ", ".join(f"w{n}: {{roles: [kubelet], address: 127.0.2.{n}}}" for n in (1, 2))
    apart = config(f"nodes: {{m1: {{roles: [state, apiserver], address: 127.0.1.1}}, {addresses}}}")
    assert bridge_name("/data", apart, "w2") == bridge_name("/data", apart, "w1")


def test_api_servers_have_ports_one_after_the_other_and_nodes_with_an_address_the_same():
    masters = ", ".join(f"m{n}: {{roles: [state, apiserver]}}" for n in (1, 2, 3))
    together = config(f"nodes: {{{masters}}}\napiserver: {{port: 7000}}")
    assert [apiserver_bind(together, f"m{n}").port for n in (1, 2, 3)] == [7000, 7001, 7002]
    masters = ", ".join(f"m{n}: {{roles: [state, apiserver], address: 10.0.0.{n}}}" for n in (1, 2, 3))
    apart = config(f"nodes: {{{masters}}}\napiserver: {{port: 7000}}")
    assert [str(apiserver_bind(apart, f"m{n}")) for n in (1, 2)] == ["10.0.0.1:7000", "10.0.0.2:7000"]
    assert len({sockets["work"] for sockets in bus_endpoints(apart).values()}) == len(bus_endpoints(apart)) == 6


def test_a_machine_runs_its_own_nodes_and_knows_where_the_others_are(tmp_path):
    masters = ", ".join(f"m{n}: {{roles: [state, apiserver, scheduler], address: 10.0.0.{n}}}" for n in (1, 2))
    cluster = config(f"nodes: {{{masters}}}")
    made = compose(cluster, tmp_path, tmp_path / "run", ["m2"])
    check_specs(made.specs)
    assert sorted(spec.name for spec in made.specs) == ["apiserver@m2", "scheduler@m2", "state@m2"]
    assert "state@m1" in made.actors and sorted(made.remote) == ["apiserver@m1", "scheduler@m1", "state@m1"]
    assert sorted(made.listen) == ["apiserver@m2", "scheduler@m2", "state@m2"]
    with pytest.raises(ConfigError, match="no such node"):
        check_here(cluster, ["m9"])
    with pytest.raises(ConfigError, match="which all need"):
        check_here(config("nodes: {MASTER, w1: {roles: [kubelet]}}"), ["m1"])


def test_only_a_node_on_containerd_preloads_its_driver_and_before_its_kubelet():
    real = preload_of(config("nodes: {MASTER, w1: {roles: [kubelet], runtime: containerd}}"))
    assert real.index("actors.kubelet.containerd.driver") < real.index("actors.kubelet.actor")
    assert not [name for name in preload_of(config("nodes: {MASTER}")) if "kubelet" in name]
    played = preload_of(config("nodes: {MASTER, w1: {roles: [kubelet], runtime: simulated}}"))
    assert "actors.kubelet.containerd.driver" not in played
