"""Uids are random UUIDs, and no two processes give out the same."""

import os
import uuid

from actors.apiserver.machinery import uids


def test_uids_are_random_uuids_in_their_usual_form():
    made = [uids.new_uid() for _ in range(500)]
    assert len(set(made)) == 500
    for text in made:
        parsed = uuid.UUID(text)
        assert (str(parsed), parsed.version, parsed.variant) == (text, 4, uuid.RFC_4122)
    assert {text[19] for text in made} == set("89ab")


def test_a_forked_child_gives_out_uids_of_its_own():
    uids.new_uid()  # so that there are some in store
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, uids.new_uid().encode())
        os._exit(0)
    os.waitpid(child, 0)
    of_child = os.read(reader, 100).decode()
    os.close(reader)
    os.close(writer)
    assert uuid.UUID(of_child).version == 4
    assert of_child not in {uids.new_uid() for _ in range(2 * uids.DRAWN)}
