"""What protects the server and tells of it: deadlines of requests, health, metrics."""

import asyncio

import pytest
from prometheus_client import generate_latest

from actors.api.errors import ApiError
from actors.apiserver import health
from actors.apiserver.component_metrics import Aggregated, BuildInfo
from actors.apiserver.deadlines import REQUEST_TIMEOUT_S, Deadlines, duration_s, timeout_of
from actors.apiserver.metrics import ServerGauges
from actors.apiserver.request_info import parse
from runtime.clock import ManualClock
from tests.actors.apiserver.api_harness import config_map, with_api

CMS = "/api/v1/namespaces/default/configmaps"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5), ("1.5h", 5400.0), ("32", 32.0), ("", None), ("s", None),
        ("1x", None), ("1s!", None), ("-1s", None), ("9" * 50 + "s", None),
    ],
)  # fmt: skip
def test_durations(text, seconds):
    assert duration_s(text) == seconds


def test_how_long_a_request_may_take():
    assert timeout_of(parse("GET", CMS, "")) == REQUEST_TIMEOUT_S
    assert timeout_of(parse("GET", CMS, "timeout=5s")) == 5.0
    assert timeout_of(parse("GET", CMS, "timeout=5h")) == REQUEST_TIMEOUT_S
    assert timeout_of(parse("GET", CMS, "timeout=0")) == REQUEST_TIMEOUT_S
    with pytest.raises(ApiError, match="invalid timeout"):
        timeout_of(parse("GET", CMS, "timeout=soon"))


def test_what_takes_too_long_is_given_up_and_nothing_else():
    async def main():
        clock = ManualClock()
        deadlines = Deadlines(clock)
        never = asyncio.Event()

        async def work(query: str) -> str:
            task = deadlines.begin(parse("GET", CMS, query))
            try:
                await never.wait()
                return "done"
            except asyncio.CancelledError as cancelled:
                raise deadlines.outcome(task, cancelled) from None
            finally:
                deadlines.end(task)

        short, long_, cancelled = (asyncio.ensure_future(work(query)) for query in ("timeout=5s", "", ""))
        await asyncio.sleep(0)
        clock.advance(6)
        deadlines.give_up_late()
        with pytest.raises(ApiError) as caught:
            await short
        assert caught.value.code == 504 and deadlines.given_up == 1
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        never.set()
        assert await long_ == "done"
        assert deadlines._running == {} and deadlines._late == set()

    asyncio.run(main())


@with_api()
async def test_a_request_whose_state_does_not_answer_gets_504_in_time(api):
    hold, asked = asyncio.Event(), []

    async def never(wanted):
        asked.append(wanted)
        await hold.wait()

    api.state.txn = never
    call = asyncio.ensure_future(api.post(f"{CMS}?timeout=2s", config_map("a")))
    while not asked:
        await asyncio.sleep(0)
    api.clock.advance(3)
    api.handler.deadlines.give_up_late()
    status, answer = await call
    assert status == 504 and answer["reason"] == "Timeout"
    assert (await api.get(f"{CMS}?timeout=never"))[0] == 400


CHECKS = {"ping": "", "informer-sync": "", "state": "down", "shutdown": ""}


@pytest.mark.parametrize(
    ("path", "query", "status", "told"),
    [
        ("/livez", "", 200, "ok"),
        ("/livez", "verbose", 200, "[+]ping ok\n[+]informer-sync ok\nlivez check passed\n"),
        ("/readyz/ping", "", 200, "ok"),
        ("/readyz", "exclude=state", 200, "ok"),
        (
            "/readyz",
            "verbose&exclude=state&exclude=nothing",
            200,
            "[+]ping ok\n[+]informer-sync ok\n[+]state excluded: ok\n[+]shutdown ok\n"
            'warn: some health checks cannot be excluded: no matches for "nothing"\nreadyz check passed\n',
        ),
        (
            "/healthz",
            "",
            500,
            "[+]ping ok\n[+]informer-sync ok\n[-]state failed: reason withheld\n[+]shutdown ok\nhealthz check failed\n",
        ),
        ("/readyz/state", "", 500, "[-]state failed: reason withheld\nreadyz check failed\n"),
    ],
)
def test_health(path, query, status, told):
    answer = health.answer(path, query, CHECKS)
    assert (answer.status, answer.body.decode()) == (status, told)


def test_a_check_that_there_is_not():
    with pytest.raises(ApiError) as caught:
        health.answer("/readyz/nothing", "", CHECKS)
    assert caught.value.code == 404


@with_api()
async def test_metrics_have_kubernetes_names(api):
    api.server.metrics.register(ServerGauges(api.cache, api.handler.in_flight, lambda: 7))
    await api.must("POST", CMS, config_map("a"))
    await api.get(CMS)
    await api.get("/api/v1/namespaces/default/nothing/x")
    text = generate_latest(api.server.metrics).decode()

    def labels(scope: str, verb: str) -> str:
        of = f'resource="configmaps",scope="{scope}",subresource="",verb="{verb}",version="v1"'
        return f'component="apiserver",dry_run="",group="",{of}'

    post, list_ = labels("resource", "POST"), labels("namespace", "LIST")
    assert f'apiserver_request_total{{code="201",{post}}} 1.0' in text
    assert (
        f'apiserver_request_duration_seconds_bucket{{le="0.005",{list_}}} 1.0'.replace('{le="0.005",', "{") not in text
    )
    assert f"apiserver_request_duration_seconds_count{{{list_}}} 1.0" in text
    assert 'code="404"' in text and 'resource="nothing"' not in text
    assert 'apiserver_storage_objects{resource="configmaps"} 1.0' in text
    assert "apiserver_open_connections 7.0" in text
    assert 'apiserver_resource_objects{group="",resource="configmaps"} 1.0' in text
    levels = f"{{{list_}}}".replace('dry_run="",', "")
    assert f"apiserver_request_sli_duration_seconds_count{levels} 1.0" in text
    assert 'apiserver_request_sli_duration_seconds_bucket{component="apiserver",group="",le="0.05"' in text
    assert 'le="0.025"' not in text.partition("apiserver_request_sli")[2].partition("# HELP")[0]


@with_api()
async def test_metrics_tell_of_the_server_itself(api):
    services = {"v1.a.example": {"status": {"conditions": [{"type": "Available", "status": "False"}]}}}
    for collector in (BuildInfo(), Aggregated(lambda: services)):
        api.server.metrics.register(collector)
    assert (await api.get("/api/v1/namespaces/default/endpoints"))[0] == 200
    text = (await api.get("/metrics"))[1].decode()
    assert 'git_version="v1.36.0"' in text and 'aggregator_unavailable_apiservice{name="v1.a.example"} 1.0' in text
    outdated = 'group="",removed_release="",resource="endpoints",subresource="",version="v1"'
    assert f"apiserver_requested_deprecated_apis{{{outdated}}} 1.0" in text
    levels = (await api.get("/metrics/slis"))[1].decode()
    assert 'kubernetes_healthcheck{name="ping",type="readyz"} 1.0' in levels and "apiserver_request" not in levels
