"""kubectl in one namespace, for the tests of its commands."""

import subprocess
from typing import Any

from tests.cluster import Cluster


class Kubectl:
    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def __call__(self, *words: str, **options: Any) -> str:
        """Run a command, and return what it printed."""
        return self.said(*words, **options).stdout.strip()

    def said(
        self, *words: str, editor: str = "", environment: dict[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, with `editor` as what edits files."""
        settings = {"KUBE_EDITOR": editor} if editor else environment or {}
        prefix = ["env", *(f"{name}={value}" for name, value in settings.items())] if settings else []
        return self.cluster.run(*prefix, "kubectl", "-n", self.namespace, *words, **options)

    def get(self, *words: str) -> dict[str, Any]:
        return self.cluster.get("-n", self.namespace, *words)

    def refused(self, *words: str, **options: Any) -> str:
        """Run a command that must fail, and return what it complained of."""
        return self.said(*words, status=1, **options).stderr
