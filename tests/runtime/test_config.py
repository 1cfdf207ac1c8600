"""Config files: what they become, and what the user is told when they are wrong."""

from typing import Literal

import msgspec
import pytest

from runtime.config import ConfigError, load, parse


class Port(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    protocol: Literal["tcp", "udp"] = "tcp"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    period_s: float = 1.0
    ports: list[Port] = []
    labels: dict[str, str] = {}
    main: Port = Port(80)
    other: Port | None = None


def read(text):
    return parse(text.encode(), "kubus.yaml", Config)


def test_a_file_becomes_its_struct(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "name: x\nperiod_s: 2\nports:\n- {number: 1, protocol: udp}\nlabels: {a: b}\nmain:\n"
    )
    with pytest.raises(ConfigError, match=r"c.yaml:6: main: key number is missing; expected NUMBER"):
        load(tmp_path / "c.yaml", Config)
    assert read("name: x\nports: [{number: 1, protocol: udp}]\nlabels: {a: b}\n").value == Config(
        "x", ports=[Port(1, "udp")], labels={"a": "b"}
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nam: x\n", "kubus.yaml:1: nam: unknown key; did you mean name?"),
        ("name: x\nzzz: 1\n",
         "kubus.yaml:2: zzz: unknown key; expected one of name, period_s, ports, labels, main, other"),
        ("period_s: 1\n", "kubus.yaml:1: key name is missing"),
        ("", "kubus.yaml: key name is missing"),
        ("name: 1\n", "kubus.yaml:1: name: expected a text, got 1; write it in quotes: \"1\""),
        ("name: x\nperiod_s: soon\n", "kubus.yaml:2: period_s: expected a number, got the text 'soon'"),
        ("name: x\nports:\n- number: 1\n- number: true\n",
         "kubus.yaml:4: ports[1].number: expected a whole number, got true"),
        ("name: x\nports: 80\n",
         "kubus.yaml:2: ports: expected a list, as [{number: NUMBER}], got 80; one alone is a list, too: [80]"),
        ("name: x\nlabels:\n  a: 1\n", "kubus.yaml:3: labels.a: expected a text, got 1; write it in quotes: \"1\""),
        ("name: x\nmain: {number: 1, protocol: tpc}\n",
         "kubus.yaml:2: main.protocol: expected tcp or udp, got the text 'tpc'; did you mean tcp?"),
        ("name: x\nname: y\n", "kubus.yaml:2: name: given twice (also in line 1)"),
        ("name: x\n? [a]\n: 1\n", "kubus.yaml:2: a key must be a plain word"),
        ("- a\n", "kubus.yaml:1: expected keys with values, as {name: TEXT}, got a list"),
        ("name: x\nlabels:\n", "kubus.yaml:2: labels: expected keys with values, as {NAME: TEXT}, got nothing"),
        ("name: x\nmain: [80]\n", "kubus.yaml:2: main: expected keys with values, as {number: NUMBER}, got a list"),
        ("name: x\nother: {protocol: udp}\n", "kubus.yaml:2: other: key number is missing; expected NUMBER"),
        ("name: x\nother: 80\n", "kubus.yaml:2: other: expected keys with values, as {number: NUMBER}, got 80"),
        ("name: x\nmain: {number: '80'}\n",
         "kubus.yaml:2: main.number: expected a whole number, got the text '80'; write it without quotes"),
        ("name: x\nperiod_s: .nan\n", "kubus.yaml:2: period_s: expected a number, got nan"),
        ("name: x\nperiod_s: -.inf\n", "kubus.yaml:2: period_s: expected a number, got -inf"),
    ],
)  # fmt: skip
def test_an_error_names_file_line_key_and_what_was_expected(text, complaint):
    with pytest.raises(ConfigError) as error:
        read(text)
    assert str(error.value) == complaint


@pytest.mark.parametrize(
    "text", ["name: [", "name: x\n\tb: 1", "a: *b", "\x00", "name: !!python/object:os.system x", "a: 1\n---\nb: 2"]
)
def test_what_is_not_plain_yaml_is_refused_with_a_reason(text):
    with pytest.raises(ConfigError, match="kubus.yaml"):
        read(text)


def test_a_hostile_file_is_refused():
    with pytest.raises(ConfigError, match="nested more than 32"):
        read("name: x\nlabels: " + "[" * 200 + "]" * 200)
    with pytest.raises(ConfigError, match="nested more than 32"):
        read("name: x\nlabels: " + "[" * 20_000)
    laughs = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))
    with pytest.raises(ConfigError, match="more than 100000 values"):
        read(f"name: x\nl0: &l0 [1]\n{laughs}")
    with pytest.raises(ConfigError, match="at most"):
        read("name: x\n" + "#" * 2_000_000)


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(ConfigError, match="none.yaml: No such file"):
        load(tmp_path / "none.yaml", Config)


def test_the_callers_own_checks_complain_the_same_way():
    loaded = read("name: x\nports:\n- number: 1\n- number: 99999\n")
    assert str(loaded.error(("ports", 1, "number"), "not a port")) == "kubus.yaml:4: ports[1].number: not a port"
