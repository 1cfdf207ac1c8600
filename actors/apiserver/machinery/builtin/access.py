"""Who is who and may do what: authentication, authorization, RBAC, certificates; and how much: flow control."""

from actors.apiserver.machinery.columns import access as access_columns
from actors.apiserver.machinery.columns import cluster as cluster_columns
from actors.apiserver.machinery.kinds import certificates, flow_control, rbac, reviews
from actors.apiserver.machinery.resource import READ_AND_WRITE, Resource, Subresource
from actors.apiserver.machinery.rows import review, row
from actors.apiserver.machinery.selectable import fields

REVIEWS: tuple[Resource, ...] = (
    review("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews"),
    review("authentication.k8s.io/v1", "TokenReview", "tokenreviews", strategy=reviews.TokenReviewStrategy()),
    review("authorization.k8s.io/v1", "LocalSubjectAccessReview", "localsubjectaccessreviews", namespaced=True,
           strategy=reviews.AccessReviewStrategy()),
    review("authorization.k8s.io/v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews",
           strategy=reviews.AccessReviewStrategy(of_self=True)),
    review("authorization.k8s.io/v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews"),
    review("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews",
           strategy=reviews.AccessReviewStrategy()),
)  # fmt: skip

_RBAC = "rbac.authorization.k8s.io/v1"
RBAC: tuple[Resource, ...] = (
    row(_RBAC, "ClusterRoleBinding", "clusterrolebindings", namespaced=False,
        strategy=rbac.ClusterRoleBindingStrategy(), columns=cluster_columns.BINDING),
    row(_RBAC, "ClusterRole", "clusterroles", namespaced=False, strategy=rbac.ClusterRoleStrategy(),
        columns=cluster_columns.ROLE),
    row(_RBAC, "RoleBinding", "rolebindings", strategy=rbac.RoleBindingStrategy(),
        columns=cluster_columns.BINDING),
    row(_RBAC, "Role", "roles", strategy=rbac.RoleStrategy(),
        columns=cluster_columns.ROLE),
)  # fmt: skip

_CERTIFICATES = "certificates.k8s.io/v1"
CERTIFICATES: tuple[Resource, ...] = (
    row(_CERTIFICATES, "CertificateSigningRequest", "certificatesigningrequests", namespaced=False,
        short_names=("csr",), status=True, selectable=fields("spec.signerName"),
        subresources=(Subresource("approval", "CertificateSigningRequest", _CERTIFICATES, READ_AND_WRITE),),
        strategy=certificates.CertificateSigningRequestStrategy(),
        columns=access_columns.CERTIFICATE_SIGNING_REQUEST),
)  # fmt: skip

_FLOW_CONTROL = "flowcontrol.apiserver.k8s.io/v1"
FLOW_CONTROL: tuple[Resource, ...] = (
    row(_FLOW_CONTROL, "FlowSchema", "flowschemas", namespaced=False, status=True,
        strategy=flow_control.FlowSchemaStrategy(), columns=access_columns.FLOW_SCHEMA),
    row(_FLOW_CONTROL, "PriorityLevelConfiguration", "prioritylevelconfigurations", namespaced=False, status=True,
        strategy=flow_control.PriorityLevelConfigurationStrategy(), columns=access_columns.PRIORITY_LEVEL),
)  # fmt: skip
