"""What `kubus up` prints, on a terminal, in a pipe, and from another process."""

import io
import os

from actors.cluster.report import ConsoleReport, PipeReport, relay


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


FACTS = {"seconds": "1.00", "server": "https://127.0.0.1:1", "nodes": "3 nodes", "kubeconfig": "/d/kubeconfig"}


def test_a_line_an_actor_and_then_how_to_go_on(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    report = ConsoleReport(out)
    report.actor("state@m1", "starting", "")
    report.actor("state@m1", "serving", "in 0.1 s")
    report.ready(FACTS)
    assert "\x1b[32m✓\x1b[0m state@m1" in out.getvalue()
    assert out.getvalue().count("state@m1") == 1
    assert "export KUBECONFIG=/d/kubeconfig" in out.getvalue()


def test_no_color_is_obeyed_and_a_pipe_is_plain(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    out = Terminal()
    ConsoleReport(out).actor("state@m1", "failed", "why")
    assert "\x1b" not in out.getvalue()
    monkeypatch.delenv("NO_COLOR")
    plain = io.StringIO()
    ConsoleReport(plain).actor("state@m1", "failed", "why")
    assert plain.getvalue() == "  x state@m1                 failed     why\n"


def test_reports_cross_a_pipe_until_ready(capsys):
    reader, writer = os.pipe()
    there = PipeReport(writer)
    there.note("hello")
    there.actor("state@m1", "serving", "in 0.1 s")
    there.ready(FACTS)
    out = io.StringIO()
    with os.fdopen(reader) as lines:
        assert relay(lines, ConsoleReport(out))
    assert "hello" in out.getvalue()
    assert "kubectl get nodes" in out.getvalue()
    there.note("nobody reads any more")
    there.note("and nothing happens")


def test_a_failure_crosses_too_and_so_does_an_end(capsys):
    reader, writer = os.pipe()
    there = PipeReport(writer)
    there.failed("the port is taken", 1)
    there.close()
    console = ConsoleReport(io.StringIO())
    with os.fdopen(reader) as lines:
        assert not relay(lines, console)
        assert not relay(lines, console)
    assert console.status == 1
    assert "kubus: the port is taken" in capsys.readouterr().err
