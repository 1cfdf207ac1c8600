"""`kubus` with actors that do next to nothing, so that the command line can be tested without the roles.

Run as a script it is the command line. The fake API server answers what `kubus up` asks while it waits.
"""

import asyncio
import functools
import os

import orjson

from actors.api.config import of_settings
from actors.apiserver.messages import ApiReply, ApiRequest
from actors.cluster import compose
from actors.cluster.cli import main
from actors.cluster.plan import node_names
from actors.state.messages import Range, RangeReply, RangeRequest, RangeResult
from runtime.actor import Actor
from runtime.supervisor import core
from runtime.supervisor.spec import RestartPolicy


class TinyState(Actor):
    async def start(self):
        self.server.register(RangeRequest, self.range)
        self.spawn(self.chatter(), "chatter")

    def range(self, request, context):
        assert isinstance(request.range, Range)
        return RangeReply(7, RangeResult([], 0))

    async def chatter(self):
        while True:
            self.publisher.publish("state.tick", {"at": self.clock.wall()})
            await asyncio.sleep(0.05)


class TinyApi(Actor):
    async def start(self):
        (self.dir / "endpoint").write_text("127.0.0.1:12345\n")
        self.server.register(ApiRequest, self.request)

    def request(self, request, context):
        if request.path == "/readyz":
            return ApiReply(200, "text/plain", b"ok")
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        names = node_names(of_settings(self.setup.settings))
        nodes = [{"metadata": {"name": name}, "status": ready} for name in names]
        return ApiReply(200, "application/json", orjson.dumps({"items": nodes}))


class TinyLeader(Actor):
    def inspect(self):
        return {"leader": True}


class TinyBroken(Actor):
    async def start(self):
        raise RuntimeError("broken on purpose")


compose.TARGETS.update(
    {
        "state": "tiny_cluster:TinyState",
        "apiserver": "tiny_cluster:TinyApi",
        "scheduler": "tiny_cluster:TinyLeader",
        "controller-manager": "tiny_cluster:TinyLeader",
        "kubelet": "tiny_cluster:TinyLeader",
        "proxy": "tiny_cluster:TinyLeader",
    }
)

if os.environ.get("TINY_BROKEN"):
    compose.TARGETS[os.environ["TINY_BROKEN"]] = "tiny_cluster:TinyBroken"
    core.RestartPolicy = functools.partial(RestartPolicy, intensity=3)

if __name__ == "__main__":
    main()
