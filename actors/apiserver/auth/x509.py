"""A user out of a client certificate: CN is the name, every O a group.

The TLS layer has verified the chain against our CA before this looks; a certificate without a CN is nobody.

Neighbours: `http_connection` takes the certificate from the connection, once.
"""

import hashlib
from typing import Any

from actors.apiserver.auth.identities import authenticated
from actors.apiserver.call import Identity

CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"


def identity(certificate: dict[str, Any] | None, der: bytes | None = None) -> Identity | None:
    """Return who a verified peer certificate (as `ssl.SSLSocket.getpeercert` gives it) names; None without one.

    With `der`, the certificate itself, the identity says which one it was.
    """
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
    extra = {CREDENTIAL_ID: [f"X509SHA256={hashlib.sha256(der).hexdigest()}"]} if der else {}
    return authenticated(user, groups, "", extra)
