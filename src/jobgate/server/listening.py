"""Whether a server could listen, asked before anything is started."""

from __future__ import annotations

import socket
import ssl

from jobgate.model.errors import Invalid, Unavailable


def check_listening(host: str, port: int, tls_cert: str = "", tls_key: str = "") -> None:
    """Raises Unavailable (`listen`) when the address is taken or is not ours, and Invalid (`tls`) for a bad pair."""
    if bool(tls_cert) != bool(tls_key):
        missing = "key" if tls_cert else "certificate"
        raise Invalid(f"the {missing} is missing: TLS needs a certificate and its key", code="tls")
    if tls_cert:
        _check_pair(tls_cert, tls_key)
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0]
        raise Unavailable(f"nothing can listen on {host} port {port}: {reason}", code="listen") from error


def _check_pair(cert: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for path in (cert, key):
        try:
            with open(path, "rb"):  # noqa: PTH123  # only to see whether it can be read
                pass
        except OSError as error:
            raise Invalid(f"{path} cannot be read: {error.strerror}", code="tls") from error
    try:
        context.load_cert_chain(cert, key, password=lambda: "")  # or it would ask at the terminal
    except (ssl.SSLError, ValueError, OSError) as error:
        reason = getattr(error, "reason", None) or "no PEM of a certificate and its key"
        words = reason.replace("_", " ").lower()
        raise Invalid(f"{cert} and {key} do not make a pair that TLS can use: {words}", code="tls") from error
