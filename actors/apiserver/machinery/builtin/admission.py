"""What admission is configured with: webhooks and policies; and runtime classes, which Pods are admitted into."""

from actors.apiserver.machinery.columns import admission as columns
from actors.apiserver.machinery.kinds.admission_policy import (
    AdmissionPolicyBindingStrategy,
    MutatingAdmissionPolicyStrategy,
    ValidatingAdmissionPolicyStrategy,
)
from actors.apiserver.machinery.kinds.runtime_class import RuntimeClassStrategy
from actors.apiserver.machinery.kinds.webhook_configuration import WebhookConfigurationStrategy
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.rows import row

_REGISTRATION = "admissionregistration.k8s.io/v1"
_API_MACHINERY = ("api-extensions",)

ADMISSION_REGISTRATION: tuple[Resource, ...] = (
    row(_REGISTRATION, "MutatingAdmissionPolicy", "mutatingadmissionpolicies", namespaced=False,
        categories=_API_MACHINERY, strategy=MutatingAdmissionPolicyStrategy(), columns=columns.MUTATING_POLICY),
    row(_REGISTRATION, "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", namespaced=False,
        categories=_API_MACHINERY, strategy=AdmissionPolicyBindingStrategy(mutating=True),
        columns=columns.POLICY_BINDING),
    row(_REGISTRATION, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", namespaced=False,
        categories=_API_MACHINERY, strategy=WebhookConfigurationStrategy(mutating=True),
        columns=columns.WEBHOOK_CONFIGURATION),
    row(_REGISTRATION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False,
        categories=_API_MACHINERY, status=True, strategy=ValidatingAdmissionPolicyStrategy(),
        columns=columns.VALIDATING_POLICY),
    row(_REGISTRATION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", namespaced=False,
        categories=_API_MACHINERY, strategy=AdmissionPolicyBindingStrategy(mutating=False),
        columns=columns.POLICY_BINDING),
    row(_REGISTRATION, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", namespaced=False,
        categories=_API_MACHINERY, strategy=WebhookConfigurationStrategy(mutating=False),
        columns=columns.WEBHOOK_CONFIGURATION),
)  # fmt: skip

NODE: tuple[Resource, ...] = (
    row("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", namespaced=False, strategy=RuntimeClassStrategy(),
        columns=columns.RUNTIME_CLASS),
)  # fmt: skip
