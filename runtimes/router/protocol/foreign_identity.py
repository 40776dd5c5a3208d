"""Fields by which other schemes tell a program who somebody is: from a client they are a lie. Pure.

Many programs believe them once they are told to (proxy authentication), because the proxy in front of them
says it; here that is this router, which says it in its own way. So they end here, in each spelling that
servers take for the same: CGI and WSGI make no difference between `-`, `_` and other signs. `Proxy` is among
them, which CGI hands on as HTTP_PROXY, where programs look for a way out (httpoxy, CVE-2016-5385).
"""

from __future__ import annotations

from functools import lru_cache

from runtimes.router.protocol.fields import LONGEST_REMEMBERED, plain_name

_NAMES = frozenset(
    {
        b"proxy",
        # Apache, nginx, Authelia, Caddy and whoever followed them
        b"remote-user", b"remote-name", b"remote-email", b"remote-groups", b"auth-user", b"x-remote-user",
        b"x-proxy-user", b"x-ldap-user", b"x-authenticated-user", b"x-authenticated-userid",
        b"x-authenticated-scope", b"x-authenticated-groups", b"x-userinfo", b"x-id-token",
        # oauth2-proxy, Traefik, Envoy (client certificates)
        b"x-forwarded-user", b"x-forwarded-email", b"x-forwarded-group", b"x-forwarded-groups",
        b"x-forwarded-preferred-username", b"x-forwarded-name", b"x-forwarded-login", b"x-forwarded-roles",
        b"x-forwarded-access-token", b"x-forwarded-id-token", b"x-forwarded-client-cert",
        b"x-forwarded-tls-client-cert", b"x-forwarded-tls-client-cert-info",
        # certificates elsewhere (RFC 9440), and login servers of firms
        b"client-cert", b"client-cert-chain", b"x-client-cert", b"x-client-dn", b"x-client-verify",
        b"sm-user", b"iv-user", b"iv-groups", b"iv-creds", b"x-jwt-assertion", b"x-endpoint-api-userinfo",
        b"x-consumer-id", b"x-consumer-username", b"x-consumer-custom-id", b"x-consumer-groups",
        b"x-credential-identifier", b"x-anonymous-consumer",
    }
)  # fmt: skip
_PREFIXES = (
    b"x-auth-request-",                       # oauth2-proxy, nginx' auth_request
    b"tailscale-user-", b"tailscale-app-",    # tailscale serve
    b"cf-access-",                            # Cloudflare Access
    b"x-webauth-",                            # Grafana, Gitea, Prometheus' examples
    b"x-authentik-", b"x-vouch-", b"x-pomerium-", b"x-goog-authenticated-user-", b"x-goog-iap-",
    b"x-amzn-oidc-", b"x-ms-client-principal", b"x-ms-token-aad-", b"x-sandstorm-", b"x-remote-",
    b"ynh-user", b"oidc-", b"mellon-", b"ssl-client-", b"x-ssl-client-",
)  # fmt: skip


def tells_identity(name: bytes) -> bool:
    """Whether a field of this name does."""
    # What is remembered is bounded by more than its number.
    return _tells(name) if len(name) <= LONGEST_REMEMBERED else _tells.__wrapped__(name)


@lru_cache(1024)
def _tells(name: bytes) -> bool:
    name = plain_name(name)
    return name in _NAMES or name.startswith(_PREFIXES)
