"""Who asks, as an API server behind this one is told."""

from actors.apiserver.call import Identity
from actors.apiserver.extensions.remote import identity_headers
from actors.apiserver.streams.exchange import request_head


def test_names_of_any_script_are_told_and_none_adds_a_line():
    identity = Identity("Ян", ("раз", "two\r\nX-Remote-Group: system:masters"), extra={"a/b ü": ("ж",)})
    head = request_head("GET", "/apis", "host", identity_headers(identity), 0)
    assert head.decode().split("\r\n")[2:6] == [
        "X-Remote-User: Ян",
        "X-Remote-Group: раз",
        "X-Remote-Group: twoX-Remote-Group: system:masters",
        "X-Remote-Extra-a%2Fb%20%C3%BC: ж",
    ]
