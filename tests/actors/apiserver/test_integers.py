"""Numbers in a query: what Go reads is read, and nothing else."""

import pytest

from actors.api.errors import ApiError
from actors.apiserver.integers import MAX_INT64, int64_of, port_of, whole
from tests.actors.apiserver.api_harness import config_map, pod, with_account, with_api

CMS = "/api/v1/namespaces/default/configmaps"


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("+7", 7), ("-1", -1), ("007", 7), (str(MAX_INT64), MAX_INT64)])
def test_what_is_a_number(text, number):
    assert int64_of(text) == number


@pytest.mark.parametrize("text", ["", " 1", "1 ", "1_000", "٣", "0x1", "1e3", "1" * 5000, str(MAX_INT64 + 1), "1\n"])
def test_what_is_none(text):
    assert int64_of(text) is None
    if text:
        with pytest.raises(ApiError, match="must be an integer"):
            whole("limit", text)


@pytest.mark.parametrize(("text", "port"), [("80", 80), ("65535", 65535), ("65536", None), ("0", None), ("+80", None),
                                            ("²", None), ("http", None), ("", None), ("1" * 5000, None)])  # fmt: skip
def test_ports(text, port):
    assert port_of(text) == port


@with_api()
async def test_numbers_out_of_all_range_are_answered(api):
    await api.must("POST", CMS, config_map("a"))
    for limit in (str(MAX_INT64), "-1"):
        assert len((await api.must("GET", f"{CMS}?limit={limit}"))["items"]) == 1
    for query in (f"limit={'1' * 5000}", "timeoutSeconds=" + "9" * 400 + "&watch=1", "limit=1_0", "limit=%D9%A3"):
        assert (await api.get(f"{CMS}?{query}"))[0] == 400
    await api.must("POST", CMS, config_map("held", finalizers=["a.b/c"]))
    going = await api.must("DELETE", f"{CMS}/held?gracePeriodSeconds={MAX_INT64}")
    assert going["metadata"]["deletionTimestamp"]


@with_api()
async def test_a_grace_period_without_end_ends_with_the_calendar(api):
    await with_account(api)
    await api.must("POST", "/api/v1/namespaces/default/pods", pod("p", "n1"))
    going = await api.must("DELETE", f"/api/v1/namespaces/default/pods/p?gracePeriodSeconds={MAX_INT64}")
    assert going["metadata"]["deletionTimestamp"] == "9999-12-31T23:59:59Z"
    again = await api.must("DELETE", "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=60")
    assert again["metadata"]["deletionGracePeriodSeconds"] == 60
