"""The supervisor's decisions: scripts of events and the actions they must lead to, and a world of random crashes."""

import random
import signal

import pytest

from runtime.supervisor.child import Phase
from runtime.supervisor.core import Core, Parent
from runtime.supervisor.events import (
    AllStopped,
    Announce,
    Exited,
    Fork,
    Forked,
    ForkFailed,
    KillParent,
    ParentLost,
    ParentReady,
    Probe,
    Probed,
    Restart,
    Signal,
    Start,
    StartParent,
    Stop,
    Wake,
)
from runtime.supervisor.spec import ActorLaunch, ChildSpec, RestartPolicy, SpecError

POLICY = RestartPolicy()


def spec(name, *after, **kinds):
    return ChildSpec(name, name, "m1", ActorLaunch(f"x:{name}"), after, **kinds)


def without_talk(actions):
    return [action for action in actions if not isinstance(action, Announce)]


def said(actions, name):
    return [action.what for action in actions if isinstance(action, Announce) and action.name == name]


class Script:
    """A core whose time the test moves; `do` returns what it wants done."""

    def __init__(self, *specs, policy=POLICY):
        self.now = 100.0
        self.core = Core(specs, policy)

    def do(self, event, after_s=0.0):
        self.now += after_s
        return self.core.handle(event, self.now)

    def up(self, *names):
        """Bring up the parent and these children, in this order."""
        self.do(Start())
        self.do(ParentReady())
        for pid, name in enumerate(names, start=1000):
            self.do(Forked(name, 1, pid))
            self.do(Probed(name, 1, "serving"))


def test_children_start_when_what_they_come_after_has_served():
    script = Script(spec("state"), spec("api", "state"), spec("sched", "api"), spec("containerd"))
    assert without_talk(script.do(Start())) == [StartParent()]
    assert without_talk(script.do(ParentReady())) == [Fork("state", 1), Fork("containerd", 1)]
    assert without_talk(script.do(Forked("state", 1, 11))) == []
    assert without_talk(script.do(Wake())) == [Probe("state", 1)]
    assert without_talk(script.do(Probed("state", 1, "starting"))) == []
    assert without_talk(script.do(Wake(), POLICY.start_probe_s)) == [Probe("state", 1)]
    assert without_talk(script.do(Probed("state", 1, "serving"))) == [Fork("api", 1)]
    script.do(Forked("api", 1, 12))
    assert without_talk(script.do(Probed("api", 1, "serving"))) == [Fork("sched", 1)]


def test_the_first_restart_is_immediate_and_further_ones_wait_ever_longer():
    script = Script(spec("a"))
    script.up("a")
    assert without_talk(script.do(Exited("a", 1000, 1, 0))) == [Fork("a", 2)]
    delays = []
    for life in range(2, 11):
        script.do(Forked("a", life, 2000 + life))
        script.do(Exited("a", 2000 + life, 0, 9))
        delays.append(script.core.next_wake() - script.now)
        assert without_talk(script.do(Wake(), delays[-1])) == [Fork("a", life + 1)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
    assert script.core.children["a"].restarts == 10


def test_one_crash_too_many_marks_a_child_failed_and_retries_slowly_while_the_rest_runs():
    script = Script(spec("a"), spec("b"), policy=RestartPolicy(intensity=2))
    script.up("a", "b")
    script.do(Exited("a", 1000, 1, 0))
    script.do(ForkFailed("a", 2, "no memory"))
    script.do(Wake(), 0.1)
    script.do(Forked("a", 3, 3000))
    actions = script.do(Exited("a", 3000, 1, 0))
    assert said(actions, "a") == ["exited", "failed"]
    assert script.core.children["a"].health == "failed"
    assert script.core.children["b"].health == "serving"
    assert without_talk(script.do(Wake(), POLICY.failed_retry_s)) == [Probe("b", 1), Fork("a", 4)]
    script.do(Forked("a", 4, 4000))
    assert said(script.do(Exited("a", 4000, 1, 0)), "a") == ["exited", "failed"]  # one chance, not another series


def test_a_failed_child_that_served_for_a_whole_window_is_as_good_as_new():
    script = Script(spec("a"), policy=RestartPolicy(intensity=0))
    script.up("a")
    script.do(Exited("a", 1000, 1, 0))
    script.do(Wake(), POLICY.failed_retry_s)
    script.do(Forked("a", 2, 2000))
    script.do(Probed("a", 2, "serving"))
    assert script.core.children["a"].gave_up
    script.do(Exited("a", 2000, 1, 0), POLICY.window_s)
    assert script.core.children["a"].phase is Phase.FAILED  # intensity 0 bears nothing, but it counts anew
    assert script.core.children["a"].restarts == 2


def test_a_child_that_is_not_serving_in_time_is_killed_and_started_again():
    script = Script(spec("a", start_deadline_s=5.0))
    script.do(Start())
    script.do(ParentReady())
    script.do(Forked("a", 1, 11))
    script.do(Probed("a", 1, "starting"))
    assert Signal("a", 11, signal.SIGKILL) in script.do(Wake(), 5.0)
    assert without_talk(script.do(Exited("a", 11, -9, 9))) == [Fork("a", 2)]
    assert "not serving after 5 s" in script.core.children["a"].reason


def test_a_child_that_falls_silent_is_unhealthy_at_once_and_killed_at_the_threshold():
    script = Script(spec("a"), policy=RestartPolicy(health_failures=3))
    script.up("a")
    assert said(script.do(Probed("a", 1, "", "no answer")), "a") == ["unhealthy"]
    assert script.core.children["a"].health == "unhealthy"
    assert without_talk(script.do(Probed("a", 1, "", "no answer"))) == []
    assert without_talk(script.do(Probed("a", 1, "", "no answer"))) == [Signal("a", 1000, signal.SIGKILL)]
    assert without_talk(script.do(Exited("a", 1000, -9, 9))) == [Fork("a", 2)]


def test_a_child_that_answers_again_is_left_alone():
    script = Script(spec("a"), policy=RestartPolicy(health_failures=2))
    script.up("a")
    script.do(Probed("a", 1, "", "no answer"))
    assert said(script.do(Probed("a", 1, "serving")), "a") == ["serving"]
    assert without_talk(script.do(Probed("a", 1, "", "no answer"))) == []


def test_answers_about_an_old_life_are_dropped():
    script = Script(spec("a"))
    script.up("a")
    script.do(Exited("a", 1000, 1, 0))
    script.do(Forked("a", 2, 2000))
    assert script.do(Probed("a", 1, "serving")) == []
    assert script.do(Exited("a", 1000, 1, 0)) == []
    assert script.core.children["a"].phase is Phase.STARTING


def test_stop_goes_in_reverse_with_term_a_deadline_and_kill():
    script = Script(spec("state"), spec("api", "state"), spec("sched", "api", stop_deadline_s=3.0))
    script.up("state", "api", "sched")
    assert without_talk(script.do(Stop())) == [Signal("sched", 1002, signal.SIGTERM)]
    assert without_talk(script.do(Wake(), 3.0))[-1] == Signal("sched", 1002, signal.SIGKILL)
    assert without_talk(script.do(Exited("sched", 1002, -9, 9))) == [Signal("api", 1001, signal.SIGTERM)]
    assert without_talk(script.do(Exited("api", 1001, 0, 0))) == [Signal("state", 1000, signal.SIGTERM)]
    assert without_talk(script.do(Exited("state", 1000, 0, 0))) == [AllStopped()]


def test_stop_before_anything_runs_is_done_at_once():
    script = Script(spec("state"), spec("api", "state"))
    script.do(Start())
    assert without_talk(script.do(Stop())) == [AllStopped()]


def test_a_child_whose_fork_is_on_its_way_is_stopped_when_it_is_there():
    script = Script(spec("a"))
    script.do(Start())
    script.do(ParentReady())
    assert without_talk(script.do(Stop())) == []
    assert without_talk(script.do(Forked("a", 1, 11))) == [Signal("a", 11, signal.SIGTERM)]
    assert without_talk(script.do(Exited("a", 11, 0, 0))) == [AllStopped()]


def test_a_restart_on_request_is_orderly_and_no_crash():
    script = Script(spec("a"), spec("b", "a"))
    script.up("a", "b")
    assert without_talk(script.do(Restart("a"))) == [Signal("a", 1000, signal.SIGTERM)]
    assert without_talk(script.do(Exited("a", 1000, 0, 0))) == [Fork("a", 2)]
    child = script.core.children["a"]
    assert (child.restarts, len(child.crashes)) == (1, 0)


def test_a_restart_on_request_forgets_the_crashes_before_it():
    script = Script(spec("a"), policy=RestartPolicy(intensity=0))
    script.up("a")
    assert said(script.do(Exited("a", 1000, 1, 0)), "a") == ["exited", "failed"]
    assert without_talk(script.do(Restart("a"))) == [Fork("a", 2)]
    child = script.core.children["a"]
    assert (child.gave_up, len(child.crashes)) == (False, 0)


def test_with_the_warm_parent_its_children_start_again():
    script = Script(spec("a"), spec("b", "a"), spec("c"))
    script.up("a", "b")
    script.do(Forked("c", 1, 1002))
    actions = script.do(ParentLost("signal 9"))
    assert without_talk(actions) == [StartParent()]
    assert script.core.next_wake() is not None
    assert without_talk(script.do(ParentReady())) == [Fork("a", 2), Fork("b", 2), Fork("c", 2)]
    assert all(not child.crashes for child in script.core.children.values())


def test_a_warm_parent_that_hangs_is_killed():
    script = Script(spec("a", start_deadline_s=5.0))
    script.do(Start())
    assert without_talk(script.do(Wake(), 30.0)) == [KillParent("it is not ready in time")]
    script.do(ParentReady())
    assert without_talk(script.do(Wake(), 5.0)) == [KillParent("it did not fork a in time")]
    assert without_talk(script.do(Wake())) == []


def test_a_warm_parent_that_keeps_dying_is_started_ever_more_slowly():
    script = Script(spec("a"))
    script.do(Start())
    assert without_talk(script.do(ParentLost("exit code 1"))) == [StartParent()]
    assert without_talk(script.do(ParentLost("exit code 1"))) == []
    assert script.core.parent is Parent.BACKOFF
    assert without_talk(script.do(Wake(), 0.1)) == [StartParent()]


@pytest.mark.parametrize(
    "specs",
    [(spec("a"), spec("a")), (spec("a", "b"),), (spec("a", "b"), spec("b", "a"))],
    ids=["twice", "gone", "circle"],
)
def test_specs_that_contradict_themselves_are_refused(specs):
    with pytest.raises(SpecError):
        Core(specs)


class World:
    """Processes and a warm parent as they might be, from a seed; checks what must always hold."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.now = 0.0
        self.specs = [
            spec("state"),
            spec("api", "state"),
            spec("sched", "api"),
            spec("kubelet", "api", "cri"),
            spec("cri"),
        ]
        self.core = Core(self.specs)
        self.pending = []  # (time, order, event)
        self.order = 0
        self.next_pid = 1
        self.alive = {}  # pid -> name
        self.serves_at = {}  # pid -> time
        self.deaf = set()  # pids that ignore TERM
        self.parent_up = False
        self.faulty = True
        self.done = False
        self.served = set()

    def later(self, delay_s, event):
        self.order += 1
        self.pending.append((self.now + delay_s, self.order, event))

    def tell(self, event):
        for action in self.core.handle(event, self.now):
            self.act(action)
        self.check()

    def act(self, action):
        match action:
            case StartParent():
                assert not self.parent_up
                self.parent_up = True
                self.later(self.random.uniform(0, 1), ParentReady())
            case KillParent():
                self.lose_parent()
            case Fork(name, incarnation):
                self.fork(name, incarnation)
            case Signal(name, pid, number):
                assert self.alive.get(pid) == name, "a signal to a process that is not there"
                if number == signal.SIGKILL or pid not in self.deaf:
                    self.later(self.random.uniform(0, 0.5), ("die", pid, number))
            case Probe(name, incarnation):
                self.probe(name, incarnation)
            case AllStopped():
                assert not self.alive
                self.done = True

    def fork(self, name, incarnation):
        assert self.parent_up
        assert name not in self.alive.values(), f"two lives of {name}"
        assert self.served.issuperset(self.core.children[name].spec.after)
        if self.faulty and self.random.random() < 0.1:
            self.later(0.01, ForkFailed(name, incarnation, "by the seed"))
            return
        pid, self.next_pid = self.next_pid, self.next_pid + 1
        self.alive[pid] = name
        self.serves_at[pid] = self.now + self.random.uniform(0, 2)
        if self.faulty and self.random.random() < 0.1:
            self.deaf.add(pid)
        self.later(0.01, Forked(name, incarnation, pid))
        if self.faulty and self.random.random() < 0.5:
            self.later(self.random.uniform(0.01, 30), ("die", pid, 9))

    def probe(self, name, incarnation):
        pid = self.core.children[name].pid
        fine = self.alive.get(pid) == name and self.serves_at[pid] <= self.now
        if self.faulty and self.random.random() < 0.1:
            fine = False
        if fine:
            self.served.add(name)
        self.later(self.random.uniform(0, 0.1), Probed(name, incarnation, "serving" if fine else "", "no answer"))

    def lose_parent(self):
        self.parent_up = False
        self.alive.clear()
        self.pending = [
            entry
            for entry in self.pending
            if not isinstance(entry[2], (Forked, ForkFailed, Exited, ParentReady, tuple))
        ]
        self.tell(ParentLost("by the seed"))

    def step(self, until):
        """Let the next thing happen; return False when nothing does before `until`."""
        wake = self.core.next_wake()
        if wake is not None:
            wake = max(wake, self.now)
        at = min([entry[0] for entry in self.pending] + ([wake] if wake is not None else []), default=until)
        if at >= until:
            self.now = until
            return False
        self.now = at
        due = min(self.pending, default=None)
        if due is None or due[0] > at:
            self.tell(Wake())
            return True
        self.pending.remove(due)
        if isinstance(due[2], tuple):
            _, pid, number = due[2]
            if pid in self.alive:
                self.tell(Exited(self.alive.pop(pid), pid, -number, number))
        else:
            self.tell(due[2])
        return True

    def check(self):
        for pid, name in self.alive.items():
            child = self.core.children[name]
            assert child.pid in (0, pid)
        for child in self.core.children.values():
            assert child.wake_at is None or child.wake_at > self.now - 60.0

    def run(self, seconds):
        until = self.now + seconds
        steps = 0
        while self.step(until):
            steps += 1
            assert steps < 200 * seconds, "the core spins"


@pytest.mark.parametrize("seed", range(60))
def test_whatever_crashes_all_children_serve_in_the_end_and_stop_leaves_none(seed):
    world = World(seed)
    world.tell(Start())
    for _ in range(world.random.randrange(4)):
        world.run(world.random.uniform(1, 40))
        if world.parent_up and world.random.random() < 0.7:
            world.lose_parent()
    world.run(40)
    world.faulty = False
    world.deaf.clear()
    world.run(200)
    assert {child.health for child in world.core.children.values()} == {"serving"}
    assert sorted(world.alive.values()) == sorted(world.core.children)
    world.deaf = {pid for pid in world.alive if world.random.random() < 0.3}
    world.tell(Stop())
    world.run(60)
    assert world.done
    assert not world.alive


def test_a_child_that_cannot_serve_fails_at_once_and_says_why():
    core = Core([spec("a")])
    core.handle(Start(), 0.0)
    core.handle(ParentReady(), 0.0)
    core.handle(Forked("a", 1, 10), 0.0)
    actions = core.handle(Exited("a", 10, 78, 0, "the log is damaged"), 0.1)
    assert Announce("a", "failed", f"the log is damaged; next try in {core.policy.failed_retry_s:g} s") in actions
    assert core.children["a"].phase is Phase.FAILED
    assert core.handle(Wake(), 0.2 + core.policy.failed_retry_s)[0] == Fork("a", 2)
