# ruff: noqa: E501 - a table reads best with one case a line
"""Requests as a fuzzer makes them: real paths, verbs and parameters, with values that no client would send."""

from urllib.parse import quote

from hypothesis import strategies as st

from actors.apiserver.machinery.registry import REGISTRY

NASTY = [
    "", "0", "1", "-1", "true", "false", "maybe", "null", "9223372036854775807", "9223372036854775808",
    "-9223372036854775809", "1" * 5000, "1e9", "0x10", " 1", "1 ", "+1", "1_000", "٣", "NaN", "inf", "\x00", "\n", "%",
    "è", "𝒳", "\ud7ff", "a,b", "a=b", "a==b", "a!=b", "!a", "a in (", "a in (b", "a in (b,c),d notin (e)", "a>1", "a<x",
    "=", ",", ",,", "()", "a=b=c", "metadata.name=x", "metadata.namespace!=y", "spec.nope=z", "metadata.name",
    "metadata.name=a\\,b", "\\", "../..", "a/b", "/", "a" * 300, "a." * 40, "All", "all", "Background", "Foreground",
    "Orphan", "Exact", "NotOlderThan", "Strict", "Warn", "Ignore", "None", "Object", "Metadata", "eyJ2IjoibWV0YS5rOHMu",
    "eyJ2Ijoia3VidXMvdjEiLCJydiI6MSwic3RhcnQiOiIvIn0", "2020-01-01T00:00:00Z", "2020-13-01T00:00:00Z",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "[", "{}", "*", "Kube", "x" * 130,
]  # fmt: skip
PARAMETERS = [
    "limit", "continue", "resourceVersion", "resourceVersionMatch", "timeoutSeconds", "watch", "allowWatchBookmarks",
    "sendInitialEvents", "labelSelector", "fieldSelector", "dryRun", "fieldManager", "fieldValidation", "force",
    "gracePeriodSeconds", "propagationPolicy", "orphanDependents", "pretty", "includeObject", "tailLines", "follow",
    "sinceSeconds", "sinceTime", "limitBytes", "timestamps", "previous", "container", "timeout", "stream", "command",
    "ignoreStoreReadErrorWithClusterBreakingPotential", "exact", "separate", "nonsense", "verbose", "exclude", "ports",
]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "get", "TRACE", "BREW"]
ACCEPTS = [
    "", "*/*", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/html", ";;;,,q=",
    "application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v9;g=x",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadataList",
    "application/json;as=;v=;g=", "application/json;stream=watch", "application/cbor", "application/json;q=2,*/*;q=x",
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", "application/json; profile=\"nope\"", "a" * 5000,
]  # fmt: skip
CONTENT_TYPES = [
    "", "application/json", "application/yaml", "application/json-patch+json", "application/merge-patch+json",
    "application/strategic-merge-patch+json", "application/apply-patch+yaml", "application/apply-patch+cbor",
    "application/vnd.kubernetes.protobuf", "application/json; charset=latin-1", "text/plain", ";", "application/cbor",
]  # fmt: skip
NAMES = [
    "a",
    "default",
    "kube-system",
    "nobody",
    "kubernetes",
    "%2e%2e",
    "A_b",
    "a%00b",
    "è",
    "",
    "a" * 254,
    "a:80",
    "https:a:b",
]
PARTS = ["status", "scale", "log", "exec", "attach", "portforward", "proxy", "binding", "eviction", "token", "finalize",
         "approval", "resize", "ephemeralcontainers", "nope", "proxy/x/y", "status/more"]  # fmt: skip
ELSEWHERE = [
    "/", "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/apis/nope", "/apis/nope/v1", "/openapi/v2",
    "/openapi/v3", "/openapi/v3/api/v1", "/openapi/v3/apis/nope/v1", "/healthz", "/livez/ping", "/readyz", "/readyz/nope",
    "/version", "/metrics", "/openid/v1/jwks", "/.well-known/openid-configuration", "/logs", "/debug/pprof", "//api/v1",
    "/api//v1/pods", "/api/v1/watch/pods", "/api/v1/watch/namespaces/default/pods/a", "/apis/apps/v1/watch/deployments",
    "/api/v1/namespaces/default", "/api/v1/namespaces/default/status", "/api/v1/namespaces//pods", "/api/v2/pods",
    "/api/v1/proxy/namespaces/default/pods/a", "/%61pi/v1/pods", "/api/v1/pods%2fx", "/api/v1/%", "/api/v1/%ff", "*",
]  # fmt: skip

RESOURCES = sorted(REGISTRY, key=lambda resource: (resource.group, resource.version, resource.plural))


@st.composite
def paths(draw: st.DrawFn) -> str:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(ELSEWHERE))
    resource = draw(st.sampled_from(RESOURCES))
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    path = root
    if resource.namespaced if draw(st.integers(0, 9)) else not resource.namespaced:
        path += f"/namespaces/{draw(st.sampled_from(NAMES[:4]))}"
    path += f"/{resource.plural}"
    if draw(st.booleans()):
        path += f"/{draw(st.sampled_from(NAMES) | st.text(max_size=8).map(_escaped))}"
        if draw(st.booleans()):
            own = sorted(resource.subresources) or PARTS
            path += f"/{draw(st.sampled_from(own) | st.sampled_from(PARTS))}"
    return path


def _escaped(text: str) -> str:
    return quote(text, safe="")


@st.composite
def queries(draw: st.DrawFn) -> str:
    parts = []
    for name in draw(st.lists(st.sampled_from(PARAMETERS), max_size=5)):
        value = draw(st.sampled_from(NASTY) | st.text(max_size=12))
        escaped = quote(value.encode(errors="surrogatepass"), safe="=,()!") if draw(st.integers(0, 9)) else value
        parts.append(f"{name}={escaped}")
    if draw(st.integers(0, 19)) == 0:
        parts.append(draw(st.sampled_from(["&&", "=", "%", "%zz", "a=%ff", "labelSelector=%00", "watch", "x" * 9000])))
    return "&".join(parts)


@st.composite
def targets(draw: st.DrawFn) -> str:
    path, query = draw(paths()), draw(queries())
    return f"{path}?{query}" if query else path
