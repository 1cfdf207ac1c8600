"""Signals by their names, as a pod's stopSignal has them."""

import pytest

from actors.kubelet.containerd.stop_signal import number_of


@pytest.mark.parametrize(
    ("name", "number"), [("SIGTERM", 15), ("SIGUSR1", 10), ("SIGRTMIN", 34), ("SIGRTMIN+3", 37), ("SIGRTMAX-14", 50)]
)
def test_numbers(name: str, number: int) -> None:
    assert number_of(name) == number


@pytest.mark.parametrize("name", ["", "TERM", "SIGNONE", "15", "SIGRTMIN+x"])
def test_what_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="no signal"):
        number_of(name)
