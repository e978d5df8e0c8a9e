from __future__ import annotations

from pathlib import Path

import pytest

from rollproof.engines import host
from rollproof.engines.engine import Container, Mount
from rollproof.engines.host import Host
from rollproof.errors import Unverifiable
from tests.world import containers as made_container


def container(*, running: bool) -> Container:
    status = "running" if running else "exited"
    return made_container.container("store-1", id="no-such-container", running=running, status=status)


def test_a_disk_that_only_root_can_write_to_is_full() -> None:
    # 1000 blocks, 950 used, 50 reserved for root: 5 percent "free", and none of it to be had.
    full = host.file_system_of("v", "4096 1000 50 0 100 40")
    assert (full.size, full.free_percent, full.inodes_free_percent) == (4_096_000, 0, 40)
    half = host.file_system_of("v", "4096 1000 500 400 100 0")
    assert half.free_percent == pytest.approx(100 * 400 / 900)
    assert half.inodes_free_percent == 0


def test_a_file_system_that_counts_no_inodes_is_not_out_of_them() -> None:
    assert host.file_system_of("v", "4096 1000 500 500 0 0").inodes_free_percent is None


@pytest.mark.parametrize("path", ["/no/such/path", "/tmp/$(touch x)' \"; false"])  # noqa: S108
def test_a_path_that_is_not_there_is_unverifiable(path: str) -> None:
    with pytest.raises(Unverifiable, match="No such file"):
        Host(5).file_system(path)


def test_a_volume_of_a_remote_engine_is_not_mistaken_for_a_folder_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    mount = Mount("data", "volume", "/data", str(tmp_path))
    with pytest.raises(Unverifiable, match="file system of data"):
        Host(10).volume(container(running=False), mount)
