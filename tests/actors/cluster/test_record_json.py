"""Records from JSON and back, as `kubus call` does it."""

import pytest

from actors.cluster.methods import of_control, of_role, of_supervisor
from actors.cluster.record_json import BadArgument, of_record, to_record
from actors.state.messages import Compare, Event, KeyValue, Put, Range, RangeRequest, Txn, TxnRequest, WatchBatch
from bus.record import decode, encode


def test_a_nested_record_comes_out_of_json_and_goes_back():
    value = {
        "txn": {
            "compare": [{"key": "/a", "target": "mod", "result": "=", "operand": 3}],
            "success": [{"type": "put", "key": "/a", "value": {"base64": "/w=="}}],
            "failure": [{"type": "range", "key": "/a"}],
        }
    }
    request = to_record(value, TxnRequest)
    assert request == TxnRequest(Txn([Compare(b"/a", "mod", "=", 3)], [Put(b"/a", b"\xff")], [Range(b"/a")]))
    assert decode(encode(request), TxnRequest) == request
    back = of_record(request)["txn"]
    assert back["success"][0]["value"] == {"base64": "/w=="}
    assert to_record({"txn": back}, TxnRequest) == request


def test_answers_become_plain_data():
    batch = WatchBatch(5, [Event(KeyValue(b"/a", b"\xfe", 1, 5, 2))])
    assert of_record(batch) == {
        "revision": 5,
        "events": [
            {
                "kv": {
                    "key": "/a", "value": {"base64": "/g=="}, "create_revision": 1, "mod_revision": 5, "version": 2,
                    "lease": 0,
                },
                "deleted": False,
                "prev_kv": None,
            }
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ([], "argument: expected an object of range"),
        ({}, "range is missing"),
        ({"range": {"key": "/a"}, "x": 1}, "x: unknown; expected range"),
        ({"range": {"key": 5}}, "range.key: expected a text, or"),
        ({"range": {"key": "/a", "limit": "all"}}, "range.limit: Expected `int`, got `str`"),
        ({"range": {"key": {"base64": "%"}}}, "range.key: not base64"),
    ],
)
def test_a_wrong_argument_is_named(value, complaint):
    with pytest.raises(BadArgument) as error:
        to_record(value, RangeRequest)
    assert complaint in str(error.value)


def test_an_operation_says_which_it_is():
    with pytest.raises(BadArgument, match=r"txn.success\[0\].type: expected one of"):
        to_record({"txn": {"compare": [], "success": [{"key": "/a"}]}}, TxnRequest)


def test_methods_are_found_by_the_roles_that_declare_them():
    assert of_role("state")["state.range"] is RangeRequest
    assert "api.request" in of_role("apiserver")
    assert of_role("controller-manager") == {}
    assert "control.health" in of_control()
    assert "supervisor.status" in of_supervisor()
