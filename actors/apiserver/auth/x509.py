"""A user out of a client certificate: CN is the name, every O a group.

The TLS layer has verified the chain against our CA before this looks; a certificate without a CN is nobody.

Neighbours: `http_protocol` takes the certificate from the connection, once.
"""

from typing import Any

from actors.apiserver.call import AUTHENTICATED, Identity


def identity(certificate: dict[str, Any] | None) -> Identity | None:
    """Return who a verified peer certificate (as `ssl.SSLSocket.getpeercert` gives it) names; None without one."""
    if not certificate:
        return None
    user, groups = "", []
    for relative_name in certificate.get("subject", ()):
        for attribute, value in relative_name:
            if attribute == "commonName":
                user = value
            elif attribute == "organizationName":
                groups.append(value)
    if not user:
        return None
    return Identity(user, (*groups, AUTHENTICATED))
