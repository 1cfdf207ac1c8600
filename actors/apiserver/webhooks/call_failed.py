"""The error of a call, apart from `client`, which is not imported before it is needed."""


class CallFailed(Exception):
    """The webhook could not be asked, or gave no answer; the text says why in Kubernetes' words."""
