"""The node's own images: an archive that is there is imported as it is, and built again when containerd refuses it."""

import asyncio
from pathlib import Path

import pytest

from actors.kubelet.containerd import importer
from actors.kubelet.containerd.config import PAUSE_IMAGE
from actors.kubelet.containerd.importer import ImportFailed, archive_path


@pytest.mark.parametrize(
    ("kept", "imported", "builds"), [("whole", ["whole"], 0), ("torn", ["torn", "built"], 1), (None, ["built"], 1)]
)
def test_an_archive_that_is_there_is_not_built_again(tmp_path, monkeypatch, kept, imported, builds):
    archive = archive_path(tmp_path, PAUSE_IMAGE)
    if kept:
        archive.write_text(kept)
    seen, built = [], []

    async def import_archive(socket: Path, path: Path) -> list[str]:
        seen.append(path.read_text())
        if seen[-1] == "torn":
            raise ImportFailed("unexpected EOF")
        return [PAUSE_IMAGE]

    def build(folder: Path) -> Path:
        built.append(folder)
        archive.write_text("built")
        return archive

    async def present(image: str) -> bool:
        return bool(seen) and seen[-1] != "torn"

    monkeypatch.setattr(importer, "import_archive", import_archive)
    monkeypatch.setattr(importer, "build_pause", build)
    monkeypatch.setattr(importer, "find_busybox", lambda: None)
    asyncio.run(importer.ensure(tmp_path / "socket", tmp_path, present))
    assert seen == imported
    assert len(built) == builds
