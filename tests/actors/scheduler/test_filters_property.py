"""The arrays say of every node what the naive filters say, whatever came before."""

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.scheduler.arrays import NodeArrays
from actors.scheduler.cache import Cache, placed_pod
from actors.scheduler.core import NotScheduled, SchedulerCore
from actors.scheduler.filters import NODE_FILTERS, USAGE_FILTERS
from actors.scheduler.node_info import node_info
from actors.scheduler.plan import NOWHERE, Plan, fits_row
from actors.scheduler.requirements import compile_requirements
from actors.scheduler.scores import USAGE_SCORES
from tests.actors.scheduler import naive
from tests.actors.scheduler.objects import Object, node, pod

KEYS, VALUES = ("zone", "disk", "gen"), ("a", "b", "3", "7", "x9")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
taints = st.lists(
    st.tuples(st.sampled_from(KEYS), st.sampled_from(("", "a", "b")), st.sampled_from(EFFECTS)), max_size=3
)
toleration = st.fixed_dictionaries(
    {"operator": st.sampled_from(("Exists", "Equal"))},
    optional={
        "key": st.sampled_from((*KEYS, "node.kubernetes.io/unschedulable")),
        "value": st.sampled_from(("", "a", "b")),
        "effect": st.sampled_from(EFFECTS),
    },
)
expression = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(KEYS),
            "operator": st.sampled_from(("In", "NotIn")),
            "values": st.lists(st.sampled_from(VALUES), min_size=1, max_size=2),
        }
    ),
    st.fixed_dictionaries({"key": st.sampled_from(KEYS), "operator": st.sampled_from(("Exists", "DoesNotExist"))}),
    st.fixed_dictionaries(
        {
            "key": st.sampled_from(KEYS),
            "operator": st.sampled_from(("Gt", "Lt")),
            "values": st.sampled_from((["3"], ["5"])),
        }
    ),
)
field = st.fixed_dictionaries(
    {
        "key": st.just("metadata.name"),
        "operator": st.sampled_from(("In", "NotIn")),
        "values": st.lists(st.sampled_from(("n0", "n1", "n2", "gone")), min_size=1, max_size=1),
    }
)
term = st.fixed_dictionaries(
    {}, optional={"matchExpressions": st.lists(expression, max_size=2), "matchFields": st.lists(field, max_size=1)}
)
port = st.fixed_dictionaries(
    {"hostPort": st.sampled_from((80, 81)), "protocol": st.sampled_from(("TCP", "UDP"))},
    optional={"hostIP": st.sampled_from(("10.0.0.1", "10.0.0.2"))},
)


@st.composite
def nodes(draw) -> list[Object]:
    return [
        node(
            f"n{number}",
            cpu=draw(st.sampled_from(("0", "1", "2500m"))),
            memory=draw(st.sampled_from(("0", "1Gi", "4Gi"))),
            pods=draw(st.sampled_from(("0", "2", "5"))),
            labels=draw(labels),
            taints=draw(taints),
            unschedulable=draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 4)))
    ]


@st.composite
def a_pod(draw, name: str, **more) -> Object:
    spec: Object = {"tolerations": draw(st.lists(toleration, max_size=2))}
    if draw(st.booleans()):
        spec["nodeSelector"] = draw(labels)
    if draw(st.booleans()):
        terms = draw(st.lists(term, max_size=2))
        required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
        spec["affinity"] = {"nodeAffinity": required}
    cpu, memory = draw(st.sampled_from(("", "100m", "1", "2"))), draw(st.sampled_from(("", "1Mi", "1Gi")))
    return pod(name, cpu, memory, ports=draw(st.lists(port, max_size=2, unique_by=str)), **spec, **more)


@st.composite
def clusters(draw) -> tuple[list[Object], dict[str, list[Object]]]:
    all_nodes = draw(nodes())
    placed: dict[str, list[Object]] = {}
    for number in range(draw(st.integers(0, 5))):
        on = draw(st.sampled_from(all_nodes))["metadata"]["name"]
        placed.setdefault(on, []).append(draw(a_pod(f"placed-{number}", on=on)))
    return all_nodes, placed


def build(all_nodes: list[Object], placed: dict[str, list[Object]]) -> tuple[NodeArrays, Cache]:
    arrays = NodeArrays(capacity=1)
    cache = Cache(arrays)
    for obj in all_nodes:
        cache.put_node(node_info(obj))
    for on, pods in placed.items():
        for obj in pods:
            cache.confirm(obj["metadata"]["name"], placed_pod(obj, on, compile_requirements(obj)))
    arrays.validate()
    return arrays, cache


@settings(max_examples=200, deadline=None)
@given(clusters(), a_pod("new"))
def test_arrays_agree_with_the_naive_filters(cluster, new):
    all_nodes, placed = cluster
    arrays, _ = build(all_nodes, placed)
    requirements = compile_requirements(new)
    plan = Plan(arrays, requirements)
    for obj in all_nodes:
        name = obj["metadata"]["name"]
        row = arrays.rows[name]
        expected = naive.feasible(new, obj, placed.get(name, []))
        assert (plan.ranks()[row] != NOWHERE) == expected
        assert fits_row(arrays, requirements, row) == expected


@settings(max_examples=100, deadline=None)
@given(clusters(), a_pod("new"), st.lists(st.tuples(st.integers(0, 3), a_pod("later")), max_size=6))
def test_a_plan_kept_up_to_date_equals_a_plan_made_anew(cluster, new, later):
    all_nodes, placed = cluster
    arrays, cache = build(all_nodes, placed)
    requirements = compile_requirements(new)
    kept = Plan(arrays, requirements)
    for number, (place, obj) in enumerate(later):
        on = all_nodes[place % len(all_nodes)]["metadata"]["name"]
        cache.confirm(f"later-{number}", placed_pod(obj, on, compile_requirements(obj)))
        if number == 3:
            cache.remove("later-1")
        assert kept.ranks().tolist() == Plan(arrays, requirements).ranks().tolist()
        arrays.validate()


@settings(max_examples=100, deadline=None)
@given(clusters(), a_pod("new"))
def test_one_row_asked_alone_gets_the_answer_it_gets_among_all(cluster, new):
    arrays, _ = build(*cluster)
    requirements = compile_requirements(new)
    for row in range(arrays.size):
        for usage_filter in USAGE_FILTERS:
            among_all = usage_filter.passes(arrays, requirements, arrays.all_rows)[row]
            assert usage_filter.passes_row(arrays, requirements, row) == among_all
        for score in USAGE_SCORES:
            assert score.score_row(arrays, requirements, row) == score.score(arrays, requirements, arrays.all_rows)[row]


@settings(max_examples=100, deadline=None)
@given(clusters(), a_pod("new"))
def test_every_node_is_counted_once_in_the_explanation_unless_it_lacks_several_resources(cluster, new):
    all_nodes, placed = cluster
    core = SchedulerCore(seed=0)
    for obj in all_nodes:
        core.node_changed(None, obj, 0.0)
    for pods in placed.values():
        for obj in pods:
            core.pod_changed(obj["metadata"]["name"], None, obj, 0.0)
    core.pod_changed("new", None, new, 0.0)
    (decision,) = core.schedule(0.0, 10)
    possible = [n for n in all_nodes if naive.feasible(new, n, placed.get(n["metadata"]["name"], []))]
    assert isinstance(decision, NotScheduled) == (not possible)
    if isinstance(decision, NotScheduled):
        head, _, reasons = decision.message.partition(": ")
        assert head == f"0/{len(all_nodes)} nodes are available"
        assert sum(int(part.split()[0]) for part in reasons.split(", ")) >= len(all_nodes)
    else:
        assert decision.node in [n["metadata"]["name"] for n in possible]


def test_node_filters_and_usage_filters_are_told_apart():
    """What Node objects decide must not depend on pods: a plan rebuilds it only when a node changes."""
    arrays, cache = build([node("n0")], {})
    requirements = compile_requirements(pod("new"))
    before = [f.passes(arrays, requirements, arrays.all_rows).tolist() for f in NODE_FILTERS]
    for number in range(200):
        obj = pod(f"p{number}", "1", on="n0")
        cache.confirm(f"p{number}", placed_pod(obj, "n0", compile_requirements(obj)))
    assert [f.passes(arrays, requirements, arrays.all_rows).tolist() for f in NODE_FILTERS] == before
