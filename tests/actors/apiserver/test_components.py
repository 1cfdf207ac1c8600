"""How the other components are: asked on their sockets, or told by the Lease of who leads."""

from pathlib import Path

from actors.api.meta import rfc3339_micro
from actors.apiserver.components import BusComponents
from actors.state.messages import StatusReply
from bus import Directory, Unavailable
from runtime.messages import Health
from tests.actors.apiserver.api_harness import with_api

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
ACTORS = ("state@m1", "state@m2", "scheduler@m1", "controller-manager@m1")


class Answers:
    """A client of the bus: what each socket answers, or raises."""

    def __init__(self, **answers) -> None:
        self.answers = answers

    async def request(self, endpoint, request, *, timeout_s):
        name = Path(endpoint.removeprefix("ipc://")).name.partition("@")[0].replace("-", "_")
        answer = self.answers.get(f"{name}_{'m2' if '@m2' in endpoint else 'm1'}", self.answers.get(name))
        if isinstance(answer, Exception):
            raise answer
        return answer


def member(leader: str = "state@m1", alarms: tuple[str, ...] = ()) -> StatusReply:
    return StatusReply("state@m1", leader, 1, 0, 0, 0, 2, list(alarms))


def asked(api, tmp_path, actors=ACTORS, **answers) -> BusComponents:
    told = {"state": member(), "scheduler": Health("serving"), "controller_manager": Health("serving")} | answers
    return BusComponents(Answers(**told), Directory(tmp_path, actors), "apiserver@m1", api.state, api.cache, api.clock)


async def hold_lease(api, name: str, age_s: float, holder: str = "scheduler@m2") -> None:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": rfc3339_micro(api.clock.wall() - age_s)}
    await api.must("POST", LEASES, {"metadata": {"name": name}, "spec": spec})
    await api.server.barrier.fresh()


def test_all_are_well(tmp_path):
    @with_api()
    async def run(api):
        names = ["controller-manager", "etcd-0", "etcd-1", "scheduler"]
        assert await asked(api, tmp_path).checks() == [(name, "") for name in names]

    run()


def test_what_is_wrong_is_told(tmp_path):
    @with_api()
    async def run(api):
        found = dict(
            await asked(
                api, tmp_path,
                state_m1=member(leader=""), state_m2=member(alarms=("NOSPACE",)),
                scheduler=Unavailable("gone"), controller_manager=Health("stopping"),
            ).checks()
        )  # fmt: skip
        assert found == {
            "controller-manager": "controller-manager@m1 is stopping",
            "etcd-0": "state@m1 knows no leader",
            "etcd-1": "state@m2: alarms: NOSPACE",
            "scheduler": "scheduler@m1: gone",
        }

    run()


def test_one_that_leads_elsewhere_is_as_good(tmp_path):
    @with_api()
    async def run(api):
        await hold_lease(api, "kube-scheduler", age_s=1)
        await hold_lease(api, "kube-controller-manager", age_s=60)
        found = dict(await asked(api, tmp_path, actors=("state@m1",)).checks())
        assert found["scheduler"] == ""
        assert "ran out" in found["controller-manager"]
        assert dict(await asked(api, tmp_path, scheduler=Unavailable("gone")).checks())["scheduler"] == ""

    run()


def test_its_own_lease_helps_no_one_who_is_silent(tmp_path):
    @with_api()
    async def run(api):
        await hold_lease(api, "kube-scheduler", age_s=1, holder="scheduler@m1")
        assert dict(await asked(api, tmp_path, scheduler=Unavailable("gone")).checks())["scheduler"] != ""

    run()


def test_an_etcd_cluster_is_one(tmp_path):
    @with_api()
    async def run(api):
        assert ("etcd-0", "") in await asked(api, tmp_path, actors=()).checks()

    run()
