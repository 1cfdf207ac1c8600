"""Who is who and may do what: authentication, authorization, RBAC."""

from actors.apiserver.machinery.columns import cluster as cluster_columns
from actors.apiserver.machinery.kinds import rbac, reviews
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.rows import review, row

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
