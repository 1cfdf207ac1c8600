"""The volumes that a pod's PersistentVolumeClaims are bound to, as places on this node.

`place_of` decides from the objects (pure); `Claims` has them: each claim watched while a pod uses it, its volume read
when it is bound. What is not bound yet, bound to another node's volume, or being removed raises `ClaimNotReady`; the
pod waits, and a change of the claim wakes it.

Only hostPath and local volumes: directories, and block devices. What others have is refused by name. A claim that is
for one pod only (ReadWriteOncePod) goes to the pod that had it first, until that pod has ended; the next one waits.

Neighbours: `pod_files` resolves before `volumes` mounts.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.api.client import ApiClient
from actors.api.errors import ApiError
from actors.api.node_selector import matches_selector
from actors.kubelet import pod as pods

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER = "kubus.dev/hostpath"
BLOCK_DEVICE = "BlockDevice"  # as a hostPath's type
ONE_POD = "ReadWriteOncePod"
CLAIMS, VOLUMES = "persistentvolumeclaims", "persistentvolumes"

Object = dict[str, Any]
Lookup = Callable[[str, str, str], Object | None]  # (kind, namespace, name)


class ClaimNotReady(Exception):
    """A claim can't be mounted now. The message goes into a FailedMount event."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a claim's volume is on this node.

    kind      a hostPath's type; for a local volume "Directory"; BLOCK_DEVICE with volumeMode Block
    readonly  the pod asked for no more than reading
    is_owned  fsGroup applies: what is a hostPath of somebody else keeps its owners, as in Kubernetes
    is_made   the directory is made when it is missing, open to every user
    is_block  a container gets the device itself, under a path of its own
    """

    path: Path
    kind: str = ""
    readonly: bool = False
    is_owned: bool = False
    is_made: bool = False
    is_block: bool = False


def claim_volumes(pod: pods.Pod) -> dict[str, tuple[str, bool]]:
    """Return (claim name, read-only) of every volume of a pod that is a claim's, by the volume's name."""
    found = {}
    for volume in pod["spec"].get("volumes") or ():
        source = volume.get("persistentVolumeClaim")
        if source:
            found[volume["name"]] = (source["claimName"], bool(source.get("readOnly")))
        elif "ephemeral" in volume:
            found[volume["name"]] = (f"{pods.name(pod)}-{volume['name']}", False)
    return found


def check_claim(pod: pods.Pod, name: str, claim: Object | None) -> str:
    """Return the name of the volume that a claim is bound to. ClaimNotReady says what is missing."""
    key = f"{pods.namespace(pod)}/{name}"
    if claim is None:
        raise ClaimNotReady(f'error processing PVC {key}: persistentvolumeclaim "{name}" not found')
    if "deletionTimestamp" in claim["metadata"]:
        raise ClaimNotReady(f"error processing PVC {key}: PVC is being deleted")
    volume = claim["spec"].get("volumeName")
    if not volume or (claim.get("status") or {}).get("phase") != "Bound":
        raise ClaimNotReady(f"error processing PVC {key}: PVC is not bound")
    return str(volume)


def place_of(claim: Object, volume: Object, node: Object | None, readonly: bool) -> Place:
    """Return where a bound volume is. ClaimNotReady when it is not for this claim, this node, or of a known kind."""
    name, spec = volume["metadata"]["name"], volume["spec"]
    if (spec.get("claimRef") or {}).get("uid") != claim["metadata"]["uid"]:
        raise ClaimNotReady(f'PersistentVolume "{name}" is not bound to this claim')
    affinity = (spec.get("nodeAffinity") or {}).get("required")
    if node is not None and not matches_selector(affinity, node):
        raise ClaimNotReady(
            f'MountVolume.NodeAffinity check failed for volume "{name}" : no matching NodeSelectorTerms'
        )
    if (spec.get("volumeMode") or "Filesystem") == "Block":
        source = spec.get("local") or spec.get("hostPath")
        if not source:
            raise ClaimNotReady(f'no volume plugin matched for block PersistentVolume "{name}"')
        return Place(Path(source["path"]), BLOCK_DEVICE, readonly, is_block=True)
    made = (volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY) == PROVISIONER
    if spec.get("hostPath"):
        source = spec["hostPath"]
        kind = "" if made else source.get("type") or ""
        return Place(Path(source["path"]), kind, readonly, is_owned=made, is_made=made)
    if spec.get("local"):
        return Place(Path(spec["local"]["path"]), "Directory", readonly, is_owned=True)
    raise ClaimNotReady(
        f'no volume plugin matched for PersistentVolume "{name}": only hostPath and local are supported'
    )


def is_exclusive(claim: Object) -> bool:
    return ONE_POD in (claim["spec"].get("accessModes") or ())


def rank(pod: pods.Pod) -> tuple[bool, str, str, str]:
    """Return what is least for the pod that had its claims first: it had containers, or is older."""
    status, metadata = pod.get("status") or {}, pod["metadata"]
    has_run = any(item.get("containerID") for item in (*(status.get("initContainerStatuses") or ()),
                                                       *(status.get("containerStatuses") or ())))  # fmt: skip
    return not has_run, status.get("startTime") or "~", metadata.get("creationTimestamp") or "~", pods.uid(pod)


class Claims:
    def __init__(
        self,
        api: ApiClient,
        lookup: Lookup,
        node: Callable[[], Object | None],
        others: Callable[[], Iterable[pods.Pod]],
        wake: Callable[[str], None],
    ):
        """`lookup` finds a claim that is being watched; `node` is this Node as the API has it; `others` are the pods
        that may have something here; `wake(pod uid)` tells a pod that waits for another's claim to try again."""
        self._api, self._lookup, self._node, self._others = api, lookup, node, others
        self._wake = wake
        self._waiting: set[str] = set()  # uids of pods that wait for another's claim
        self._places: dict[str, Mapping[str, Place]] = {}  # pod uid -> volume name -> place

    def references(self, pod: pods.Pod) -> Iterable[tuple[str, str]]:
        """Return what of the API must be watched for a pod, as (kind, name)."""
        return {(CLAIMS, claim) for claim, _ in claim_volumes(pod).values()}

    async def resolve(self, pod: pods.Pod) -> None:
        """Find the place of each of a pod's claims. Raises ClaimNotReady, ApiError or BusError."""
        places = dict(self._places.get(pods.uid(pod), {}))  # what is mounted stays, whatever becomes of its claim
        for volume, (name, readonly) in claim_volumes(pod).items():
            if volume in places:
                continue
            claim = self._lookup(CLAIMS, pods.namespace(pod), name)
            bound = check_claim(pod, name, claim)
            assert claim is not None, "check_claim refuses a missing claim"
            _check_owner(pod, volume, claim)
            if is_exclusive(claim):
                self._check_free(pod, volume, name)
            places[volume] = place_of(claim, await self._volume(bound), self._node(), readonly)
        self._places[pods.uid(pod)] = places

    def _check_free(self, pod: pods.Pod, volume: str, claim: str) -> None:
        """What was given here counts first; after a restart of the kubelet, what the pods tell of themselves."""
        for other in self._others():
            if pods.uid(other) == pods.uid(pod) or pods.namespace(other) != pods.namespace(pod):
                continue
            shared = [item for item, (name, _) in claim_volumes(other).items() if name == claim]
            had = any(self.place(pods.uid(other), item) for item in shared)
            if had or (shared and rank(other) < rank(pod)):
                self._waiting.add(pods.uid(pod))
                raise ClaimNotReady(
                    f'volume "{volume}" uses the ReadWriteOncePod access mode and is already in use by another pod'
                )

    def place(self, uid: str, volume: str) -> Place | None:
        return self._places.get(uid, {}).get(volume)

    def release(self, uid: str) -> None:
        self._places.pop(uid, None)
        self._waiting.discard(uid)
        waiting, self._waiting = self._waiting, set()
        for other in waiting:
            self._wake(other)

    async def _volume(self, name: str) -> Object:
        try:
            return await self._api.get(VOLUMES, name)
        except ApiError as error:
            raise ClaimNotReady(f'failed to fetch PersistentVolume "{name}": {error.message}') from error


def _check_owner(pod: pods.Pod, volume: str, claim: Object) -> None:
    """The claim of an ephemeral volume must have been made for this very pod."""
    source = next(item for item in pod["spec"]["volumes"] if item["name"] == volume)
    if "ephemeral" not in source:
        return
    owners = claim["metadata"].get("ownerReferences") or ()
    if not any(owner.get("uid") == pod["metadata"]["uid"] and owner.get("controller") for owner in owners):
        raise ClaimNotReady(f"PVC {pods.namespace(pod)}/{claim['metadata']['name']} was not created for the pod")
