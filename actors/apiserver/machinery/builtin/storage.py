"""Classes and drivers of storage, attachments; devices."""

from actors.apiserver.machinery.columns import platform
from actors.apiserver.machinery.columns import storage as columns
from actors.apiserver.machinery.columns.cells import AGE, NAME
from actors.apiserver.machinery.kinds import csi, devices, storage
from actors.apiserver.machinery.resource import Resource
from actors.apiserver.machinery.rows import row
from actors.apiserver.machinery.selectable import fields

_STORAGE = "storage.k8s.io/v1"
STORAGE: tuple[Resource, ...] = (
    row(_STORAGE, "CSIDriver", "csidrivers", namespaced=False, strategy=csi.CSIDriverStrategy(),
        columns=columns.CSI_DRIVER),
    row(_STORAGE, "CSINode", "csinodes", namespaced=False, strategy=csi.CSINodeStrategy(), columns=columns.CSI_NODE),
    row(_STORAGE, "CSIStorageCapacity", "csistoragecapacities", strategy=csi.CSIStorageCapacityStrategy(),
        columns=columns.CSI_STORAGE_CAPACITY),
    row(_STORAGE, "StorageClass", "storageclasses", namespaced=False, short_names=("sc",),
        strategy=storage.StorageClassStrategy(), columns=platform.STORAGE_CLASS),
    row(_STORAGE, "VolumeAttachment", "volumeattachments", namespaced=False, status=True,
        strategy=csi.VolumeAttachmentStrategy(), columns=columns.VOLUME_ATTACHMENT),
    row(_STORAGE, "VolumeAttributesClass", "volumeattributesclasses", namespaced=False, short_names=("vac",),
        strategy=csi.VolumeAttributesClassStrategy(), columns=columns.VOLUME_ATTRIBUTES_CLASS),
)  # fmt: skip

_RESOURCE = "resource.k8s.io/v1"
DEVICES: tuple[Resource, ...] = (
    row(_RESOURCE, "DeviceClass", "deviceclasses", namespaced=False, strategy=devices.DeviceClassStrategy(),
        columns=(NAME, AGE)),
    row(_RESOURCE, "ResourceClaim", "resourceclaims", status=True, strategy=devices.ResourceClaimStrategy(),
        columns=columns.RESOURCE_CLAIM),
    row(_RESOURCE, "ResourceClaimTemplate", "resourceclaimtemplates",
        strategy=devices.ResourceClaimTemplateStrategy(), columns=(NAME, AGE)),
    row(_RESOURCE, "ResourceSlice", "resourceslices", namespaced=False, strategy=devices.ResourceSliceStrategy(),
        columns=columns.RESOURCE_SLICE, selectable=fields("spec.nodeName", "spec.driver")),
)  # fmt: skip
