"""The command line's side of images, without a containerd."""

import asyncio
import socket

import pytest

from actors.kubelet.containerd.images import ImageRow, ImagesError, build_archives, import_archive, nodes_of, rows_of
from actors.kubelet.containerd.importer import archive_path, imported_names
from actors.kubelet.containerd.places import places_of
from actors.kubelet.runtime import Image


def test_a_row_for_each_name():
    images = [
        Image("sha256:2", ("b:1", "a:1"), ("a@sha256:9",), 20),
        Image("sha256:1", (), ("c@sha256:8",), 10),
        Image("sha256:3", (), (), 5),
    ]
    assert rows_of("m1", images) == [
        ImageRow("m1", "<none>", "sha256:3", 5),
        ImageRow("m1", "a:1", "sha256:2", 20),
        ImageRow("m1", "b:1", "sha256:2", 20),
        ImageRow("m1", "c@sha256:8", "sha256:1", 10),
    ]


def test_without_a_node_it_says_what_to_do(tmp_path):
    with pytest.raises(ImagesError, match="kubus up"):
        nodes_of(tmp_path)


def test_nodes_are_those_with_a_socket(tmp_path):
    for node in ("b", "a", "simulated"):
        places_of(tmp_path, node).home.mkdir(parents=True)
    listening = []
    for node in ("b", "a"):
        places = places_of(tmp_path, node)
        places.run.mkdir(parents=True, exist_ok=True)
        listening.append(socket.socket(socket.AF_UNIX))
        listening[-1].bind(str(places.socket))
    try:
        assert [places.node for places in nodes_of(tmp_path)] == ["a", "b"]
    finally:
        for server in listening:
            server.close()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ImagesError, match="not a file"):
        asyncio.run(import_archive(tmp_path, tmp_path / "x.tar"))


def test_archives_are_built_once(tmp_path):
    paths = build_archives(tmp_path)
    assert archive_path(tmp_path, "kubus.local/pause:1") in paths
    before = [path.stat().st_mtime_ns for path in paths]
    assert build_archives(tmp_path) == paths
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_what_ctr_says():
    printed = "unpacking kubus.local/pause:1 (sha256:bcf)...done\nunpacking docker.io/library/x:1 (sha256:1)...done\n"
    assert imported_names(printed) == ["kubus.local/pause:1", "docker.io/library/x:1"]
    assert imported_names("kubus.local/pause:1   saved\napplication/vnd.oci.image.manifest.v1+json sha256:1\n") == [
        "kubus.local/pause:1"
    ]
    assert imported_names("") == []
