"""exec, logs and port-forward by each client library, at a pod that runs; run by test_streams_of_clients.py.

The one argument is the client. It runs in a process of its own, inside the cluster's network.
"""

import asyncio
import sys
import urllib.request

NAMESPACE, POD = "client-streams", "talk"
SCRIPT = ["sh", "-c", "echo out; echo err >&2; read line; echo got $line; exit 3"]


def with_kubernetes() -> None:
    from kubernetes import client, config
    from kubernetes.stream import portforward, stream

    config.load_kube_config()
    core = client.CoreV1Api()
    connect = core.connect_get_namespaced_pod_exec
    words = {"command": ["echo", "hello"], "stdout": True, "stderr": True, "stdin": False, "tty": False}
    assert stream(connect, POD, NAMESPACE, **words) == "hello\n"
    talk = stream(connect, POD, NAMESPACE, **{**words, "command": SCRIPT, "stdin": True}, _preload_content=False)
    talk.write_stdin("this\n")
    talk.run_forever(timeout=20)
    assert (talk.read_stdout(), talk.read_stderr(), talk.returncode) == ("out\ngot this\n", "err\n", 3)
    forward = portforward(core.connect_get_namespaced_pod_portforward, POD, NAMESPACE, ports="8080")
    socket = forward.socket(8080)
    socket.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
    answer = b""
    while piece := socket.recv(4096):
        answer += piece
    assert answer.endswith(b"hello from the pod\n"), answer
    assert core.read_namespaced_pod_log(POD, NAMESPACE, tail_lines=1) == "ready\n"


async def with_kubernetes_asyncio() -> None:
    from kubernetes_asyncio import client, config
    from kubernetes_asyncio.stream import WsApiClient
    from kubernetes_asyncio.stream.ws_client import ERROR_CHANNEL, STDERR_CHANNEL, STDOUT_CHANNEL

    await config.load_kube_config()
    words = {"stdout": True, "stderr": True, "stdin": False, "tty": False}
    async with WsApiClient() as api:
        connect = client.CoreV1Api(api).connect_get_namespaced_pod_exec
        said = await connect(POD, NAMESPACE, command=["echo", "hello"], **words)
        assert said == "hello\n", repr(said)
        opened = await connect(POD, NAMESPACE, command=SCRIPT, **{**words, "stdin": True}, _preload_content=False)
        heard: dict[int, bytes] = {}
        async with opened as socket:
            await socket.send_bytes(b"\x00this\n")
            async for message in socket:
                heard[message.data[0]] = heard.get(message.data[0], b"") + message.data[1:]
        assert (heard[STDOUT_CHANNEL], heard[STDERR_CHANNEL]) == (b"out\ngot this\n", b"err\n")
        assert api.parse_error_data(heard[ERROR_CHANNEL].decode()) == 3


def with_lightkube() -> None:
    from lightkube import Client
    from lightkube.resources.core_v1 import Pod

    assert Pod
    with Client() as api:
        done = api.exec(POD, namespace=NAMESPACE, command=SCRIPT, stdin="this\n", stdout=True, stderr=True)
        assert (done.stdout, done.stderr, done.exit_code) == ("out\ngot this\n", "err\n", 3)
        assert list(api.log(POD, namespace=NAMESPACE, tail_lines=1)) == ["ready\n"]


def with_kr8s() -> None:
    from kr8s.objects import Pod

    pod = Pod.get(POD, namespace=NAMESPACE)
    assert pod.exec(["echo", "hello"]).stdout == b"hello\n"
    done = pod.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)  # kr8s has no stdin over its protocol
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)
    assert list(pod.logs(tail_lines=1)) == ["ready"]
    with (
        pod.portforward(remote_port=8080) as local,
        urllib.request.urlopen(f"http://localhost:{local}/index.html", timeout=10) as answer,
    ):
        assert answer.read() == b"hello from the pod\n"


if __name__ == "__main__":
    work = {
        "kubernetes": with_kubernetes,
        "kubernetes-asyncio": lambda: asyncio.run(with_kubernetes_asyncio()),
        "lightkube": with_lightkube,
        "kr8s": with_kr8s,
    }
    work[sys.argv[1]]()
    print("done")
