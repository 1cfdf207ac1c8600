"""The forms of names: DNS labels and subdomains, qualified names, label values, ports, paths, addresses.

Each check returns a list of what is wrong, empty when the value is good, in the words of Kubernetes' validation
(apimachinery's util/validation). Callers turn them into causes with `field.messages`. Most names are good, and short:
where a check begins with a match, what matches is ASCII and has as many bytes as characters.
"""

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

DNS_LABEL_MAX = 63  # RFC 1123 and 1035: octets of a label
DNS_SUBDOMAIN_MAX = 253  # RFC 1123: octets of a whole name, less the length bytes
QUALIFIED_NAME_MAX = 63
LABEL_VALUE_MAX = 63
PORT_NAME_MAX = 15  # RFC 6335: IANA service names
PATH_SEGMENT_NEVER = ("/", "%")
LONGEST_CACHED = 512  # characters; a longer text is judged anew each time, so that nobody can fill the caches
LONGEST_JUDGED = 1024  # characters; of a longer name it is enough to say that it is too long

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_HELP = (
    "must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
)
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_SUBDOMAIN_HELP = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character"
)
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035_HELP = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character"
)
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_QUALIFIED_HELP = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_VALUE = f"({_QUALIFIED})?"
_VALUE_HELP = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character"
)
_SEARCH = r"[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?(\.[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?)*"
_SEARCH_HELP = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character or '_'"
)
_HTTP_PATH = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"
_HEADER_NAME = "[-A-Za-z0-9]+"
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"


def _matcher(pattern: str) -> Callable[[str], object]:
    """Compile a pattern without remembering its groups, which takes half of the time."""
    return re.compile(pattern.replace("(", "(?:")).fullmatch


_is_label = _matcher(_LABEL)
_is_subdomain = _matcher(_SUBDOMAIN)
_is_label_1035 = _matcher(_LABEL_1035)
_is_qualified = _matcher(_QUALIFIED)
_is_value = _matcher(_VALUE)
_is_search_domain = _matcher(_SEARCH)
_is_http_path = re.compile(_HTTP_PATH).fullmatch
_is_config_key = re.compile(_CONFIG_KEY).fullmatch
_is_header_name = re.compile(_HEADER_NAME).fullmatch
_is_identifier = re.compile(_IDENTIFIER).fullmatch
_has_letter = re.compile("[a-z]").search
_is_port_name = re.compile("[-a-z0-9]+").fullmatch


def _form(help_text: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{help_text} (e.g. {shown}regex used for validation is '{pattern}')"


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def _size(value: str) -> int:
    return len(value) if value.isascii() else len(value.encode())


def _as_prefix(name: str, prefix: bool) -> str:
    """Return a generateName as the name it would begin: a dash at its end is fine."""
    return name[:-1] + "a" if prefix and len(name) > 1 and name.endswith("-") else name


def dns_label(name: str, prefix: bool = False) -> list[str]:
    if len(name) <= DNS_LABEL_MAX and _is_label(name):
        return []
    name = _as_prefix(name, prefix)
    wrong = [_too_long(DNS_LABEL_MAX)] if _size(name) > DNS_LABEL_MAX else []
    if len(name) <= LONGEST_JUDGED and not _is_label(name):
        wrong.append(_form("a lowercase RFC 1123 label " + _LABEL_HELP, _LABEL, "my-name", "123-abc"))
    return wrong


def dns_subdomain(name: str, prefix: bool = False) -> list[str]:
    if len(name) <= DNS_SUBDOMAIN_MAX and _is_subdomain(name):
        return []
    name = _as_prefix(name, prefix)
    wrong = [_too_long(DNS_SUBDOMAIN_MAX)] if _size(name) > DNS_SUBDOMAIN_MAX else []
    if len(name) <= LONGEST_JUDGED and not _is_subdomain(name):
        wrong.append(_form(_SUBDOMAIN_HELP, _SUBDOMAIN, "example.com"))
    return wrong


def dns_label_1035(name: str, prefix: bool = False) -> list[str]:
    if len(name) <= DNS_LABEL_MAX and _is_label_1035(name):
        return []
    name = _as_prefix(name, prefix)
    wrong = [_too_long(DNS_LABEL_MAX)] if _size(name) > DNS_LABEL_MAX else []
    if len(name) <= LONGEST_JUDGED and not _is_label_1035(name):
        wrong.append(_form(_LABEL_1035_HELP, _LABEL_1035, "my-name", "abc-123"))
    return wrong


def path_segment(name: str, prefix: bool = False) -> list[str]:
    """What RBAC objects and other free names must be: one segment of a URL path."""
    if not prefix and name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{mark}'" for mark in PATH_SEGMENT_NEVER if mark in name]


def qualified_name(name: str) -> tuple[str, ...]:
    """A label or annotation key: an optional DNS prefix, a slash, a name."""
    return _qualified_name_cached(name) if len(name) <= LONGEST_CACHED else _qualified_name(name)


def label_value(value: str) -> tuple[str, ...]:
    return _label_value_cached(value) if len(value) <= LONGEST_CACHED else _label_value(value)


def _qualified_name(name: str) -> tuple[str, ...]:
    prefix, slash, tail = name.rpartition("/")
    wrong = []
    if "/" in prefix:
        return (
            "a qualified name " + _form(_QUALIFIED_HELP, _QUALIFIED, "MyName", "my.name", "123-abc")
            + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        )  # fmt: skip
    if slash and not prefix:
        wrong.append("prefix part must be non-empty")
    elif slash:
        wrong += ["prefix part " + message for message in dns_subdomain(prefix)]
    if not tail:
        wrong.append("name part must be non-empty")
    elif _size(tail) > QUALIFIED_NAME_MAX:
        wrong.append("name part " + _too_long(QUALIFIED_NAME_MAX))
    if not _is_qualified(tail):
        wrong.append("name part " + _form(_QUALIFIED_HELP, _QUALIFIED, "MyName", "my.name", "123-abc"))
    return tuple(wrong)


def _label_value(value: str) -> tuple[str, ...]:
    wrong = [_too_long(LABEL_VALUE_MAX)] if _size(value) > LABEL_VALUE_MAX else []
    if not _is_value(value):
        wrong.append(_form(_VALUE_HELP, _VALUE, "MyValue", "my_value", "12345"))
    return tuple(wrong)


_qualified_name_cached = lru_cache(maxsize=4096)(_qualified_name)
_label_value_cached = lru_cache(maxsize=4096)(_label_value)


def config_key(key: str) -> list[str]:
    """A key of a ConfigMap or Secret: it becomes a file name."""
    if len(key) <= DNS_SUBDOMAIN_MAX and key[:1] != "." and _is_config_key(key):
        return []
    wrong = [_too_long(DNS_SUBDOMAIN_MAX)] if _size(key) > DNS_SUBDOMAIN_MAX else []
    if not _is_config_key(key):
        wrong.append(
            _form(
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
                _CONFIG_KEY, "key.name", "KEY_NAME", "key-name",
            )
        )  # fmt: skip
    if key in (".", ".."):
        wrong.append(f"must not be '{key}'")
    elif key.startswith(".."):
        wrong.append("must not start with '..'")
    return wrong


def c_identifier(name: str) -> list[str]:
    if _is_identifier(name):
        return []
    help_text = (
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric "
        "characters or '_'"
    )
    return [_form(help_text, _IDENTIFIER, "my_name", "MY_NAME", "MyName")]


def env_name(name: str) -> list[str]:
    """An environment variable's name: printable ASCII without '='."""
    if name and all(" " <= c <= "~" and c != "=" for c in name):
        return []
    return ["a valid environment variable name must consist only of printable ASCII characters other than '='"]


def port_number(port: int) -> list[str]:
    return [] if 0 < port < 65536 else ["must be between 1 and 65535, inclusive"]


def port_name(name: str) -> list[str]:
    wrong = []
    if len(name) > PORT_NAME_MAX:
        wrong.append(f"must be no more than {PORT_NAME_MAX} characters")
    if not _is_port_name(name):
        wrong.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not _has_letter(name):
        wrong.append("must contain at least one letter (a-z)")
    if "--" in name:
        wrong.append("must not contain consecutive hyphens")
    if name[:1] == "-" or name[-1:] == "-":
        wrong.append("must not begin or end with a hyphen")
    return wrong


def http_header_name(name: str) -> list[str]:
    """A header that a probe sends: fewer characters than HTTP allows."""
    if _is_header_name(name):
        return []
    return [_form("a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER_NAME, "X-Header-Name")]


def search_domain(text: str) -> list[str]:
    """A domain of a resolver's search list: underscores are allowed there, and a dot at the end."""
    if text == ".":
        return []
    name = text.removesuffix(".")
    if len(name) > DNS_SUBDOMAIN_MAX:
        return [_too_long(DNS_SUBDOMAIN_MAX)]
    return [] if _is_search_domain(name) else [_form(_SEARCH_HELP, _SEARCH, "example.com")]


def domain_prefixed_path(text: str) -> list[str]:
    """A name below a domain that somebody owns, as of a controller."""
    domain, _, path = text.partition("/")
    if not domain or not path:
        return ['must be a domain-prefixed path (such as "acme.io/foo")']
    wrong = dns_subdomain(domain)
    if not _is_http_path(path):
        wrong = [*wrong, f"Invalid path (regex used for validation is '{_HTTP_PATH}')"]
    return wrong


def ip_address(text: str) -> list[str]:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return []


def cidr(text: str) -> list[str]:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
    return [] if "/" in text else ["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"]
