"""Answers in another encoding than plain JSON: YAML, Protobuf, and JSON for the eye.

Whoever takes JSON gets JSON, for that is what is stored; YAML comes to those who name it first, Protobuf to those who
take nothing else. `?pretty`, and the browsers and tools that people read answers with, get JSON in lines, as from
Kubernetes. The verbs know nothing of this: they are told that JSON is wanted, and what they answer is translated.

A watch in Protobuf is a stream of frames. A chunk is encoded once for all watches that are told of it at the same time.

YAML of a thousand pods takes half a second, so whatever is long is translated in a thread.

Neighbours: `handler` has answers translated; `negotiation` chooses the form of an object; `protobuf.encode`.
"""

from collections.abc import AsyncGenerator, Callable
from functools import lru_cache
from typing import Any

import orjson
import yaml

from actors.api import errors
from actors.apiserver.call import JSON, Answer, ApiCall, StreamAnswer, of_error
from actors.apiserver.negotiation import JSON_TYPES, OBJECT, TABLE, choices, negotiate, offered
from actors.apiserver.protobuf import encode as protobuf
from actors.apiserver.protobuf.wire import MEDIA_TYPE as PROTOBUF
from actors.apiserver.request_info import is_true

YAML = "application/yaml"
NOT_ACCEPTABLE = 406  # is said in JSON
SHARED_CHUNKS = 16  # of watches, kept while their watchers come by: they are told one after the other
MAX_SHARED_BYTES = 256 << 10  # of a chunk that is kept
AT_ONCE_BYTES = 64 << 10  # of JSON; YAML, which takes longest, of so much holds up everybody else for some 30 ms
_READ_BY_PEOPLE = ("curl/", "Wget/", "Mozilla/5.0")  # user agents


class Encoding:
    """One way to write answers. `accept` is what the verbs are told instead of `asked`."""

    def __init__(self, media_type: str, accept: str, asked: str, write: Callable[[bytes], bytes]) -> None:
        self.media_type = media_type
        self.accept = accept
        self.asked = asked
        self._write = write

    def check(self, api_version: str, kind: str, is_watch: bool) -> None:
        """Refuse what could not be written in it, before anything is done. Raises ApiError NotAcceptable."""
        if self.media_type == YAML and is_watch:
            raise errors.not_acceptable(offered(is_watch=True))
        if self.media_type != PROTOBUF:
            return
        form = negotiate(self.accept).form
        if form == TABLE or (form == OBJECT and not protobuf.is_known(api_version, kind)):
            raise errors.not_acceptable(offered(is_watch))

    def takes_long(self, answer: Answer | StreamAnswer) -> bool:
        """Whether `of` is work for a thread, while others are served."""
        return isinstance(answer, Answer) and answer.size_bytes > AT_ONCE_BYTES

    def of(self, answer: Answer | StreamAnswer) -> Answer | StreamAnswer:
        """An answer in this encoding; what is not JSON stays as it is. Shares nothing with other threads."""
        if not answer.content_type.startswith(JSON) or answer.status == NOT_ACCEPTABLE:
            return answer
        if isinstance(answer, StreamAnswer):
            return _framed(answer) if self.media_type == PROTOBUF and answer.status == 200 else answer
        parameters = answer.content_type.removeprefix(JSON)
        try:
            body = self._write(answer.body)
        except protobuf.Unencodable as error:
            return of_error(errors.not_acceptable(f"{offered()} ({error})"))
        return Answer(answer.status, body, self.media_type + parameters, answer.headers, answer.warnings)


def wanted_by(call: ApiCall) -> Encoding | None:
    """Return the encoding that a call wants; None: JSON as it is stored."""
    found = _of_accept(call.accept)
    if found is not None:
        return found
    if "pretty" not in call.query and not call.user_agent.startswith(_READ_BY_PEOPLE):
        return None
    return Encoding(JSON, call.accept, call.accept, _pretty) if _wants_lines(call) else None


def undone(call: ApiCall) -> ApiCall:
    """Return a call for somebody else's server, which has encodings of its own."""
    if call.encoding is not None:
        call.accept, call.encoding = call.encoding.asked, None
    return call


def _wants_lines(call: ApiCall) -> bool:
    for field in call.query.split("&"):
        name, _, value = field.partition("=")
        if name == "pretty":
            return is_true(value)
    return call.user_agent.startswith(_READ_BY_PEOPLE)


@lru_cache(maxsize=256)
def _of_accept(accept: str) -> Encoding | None:
    if not accept or accept == JSON:
        return None
    is_protobuf = False
    for media, _ in choices(accept):
        if media in JSON_TYPES:
            return None
        if media == YAML:
            return Encoding(YAML, _as_json(accept, YAML), accept, _yaml)
        is_protobuf = is_protobuf or media == PROTOBUF
    return Encoding(PROTOBUF, _as_json(accept, PROTOBUF), accept, _protobuf) if is_protobuf else None


def _as_json(accept: str, media_type: str) -> str:
    """Return what is accepted in a media type, as if it were accepted in JSON."""
    return ",".join(
        ";".join([JSON, *(f"{key}={value}" for key, value in parameters.items())])
        for media, parameters in choices(accept)
        if media == media_type
    )


def _pretty(body: bytes) -> bytes:
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2)


def _yaml(body: bytes) -> bytes:
    text: str = yaml.dump(orjson.loads(body), Dumper=_Dumper, allow_unicode=True, default_flow_style=False)
    return text.encode()


class _Dumper(yaml.CSafeDumper):
    """Without anchors: two parts that are equal are two parts."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _protobuf(body: bytes) -> bytes:
    return protobuf.encode(orjson.loads(body))


def _framed(answer: StreamAnswer) -> StreamAnswer:
    """A watch whose lines become frames."""

    async def frames(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in lines:
                yield _frames_of(chunk) if len(chunk) > MAX_SHARED_BYTES else _shared_frames_of(chunk)
        finally:
            await lines.aclose()

    answer.chunks = frames(answer.chunks)
    answer.push_to = None
    answer.content_type = f"{PROTOBUF};stream=watch"
    return answer


def _frames_of(lines: bytes) -> bytes:
    events = [orjson.loads(line) for line in lines.splitlines()]
    return b"".join(protobuf.frame(event["type"], event["object"]) for event in events)


_shared_frames_of = lru_cache(maxsize=SHARED_CHUNKS)(_frames_of)
