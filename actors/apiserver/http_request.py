"""A request as it came over HTTP, before anybody has looked into it.

Neighbours: `http_connection` fills it in as it arrives, `http_front` makes a call of it.
"""


class Request:
    """What has arrived of a request. `body` None: it was larger than allowed, and has been dropped.

    `others` are the headers without a field of their own; `upgrades` tells whether they ask for another protocol.
    """

    __slots__ = ("accept", "authorization", "body", "content_type", "impersonation", "keep_alive", "method", "others",
                 "upgrades", "url", "user_agent", "version")  # fmt: skip

    def __init__(self) -> None:
        self.method = ""
        self.url = b""
        self.version = "1.1"
        self.authorization = b""
        self.content_type = self.accept = self.user_agent = ""
        self.impersonation: list[tuple[bytes, bytes]] = []
        self.others: list[tuple[bytes, bytes]] = []
        self.upgrades = False
        self.body: bytes | None = b""
        self.keep_alive = True
