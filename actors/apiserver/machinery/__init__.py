"""The pure part of the API server: resources, schemas, decoding, defaults, validation, patches, tables, discovery.

Nothing here does I/O except `schema`, which keeps compiled schemas and OpenAPI documents in a cache directory. Nothing
reads a clock: `now` is an argument. What a caller did wrong is raised as `actors.api.errors.ApiError`.

What serving uses, by module:

    resource    Resource, Subresource, Strategy, Column, Conversion, Registry
    registry    REGISTRY: the built-in resources
    schema      use_cache(path: Path) -> None: call once at start, before the first request
    decode      decode(resource, body, content_type, field_validation) -> (obj, warnings)
                decode_as(group, version, kind, body, content_type, field_validation): the same, for subresources
                decode_options(body, content_type) -> DeleteOptions as a dict ({} for an empty body)
    prepare     prepare_for_create(resource, obj, uid, now), prepare_for_update(resource, obj, old),
                prepare_for_status_update(resource, obj, old): the server's metadata, then the strategy's hooks
    validation  validate_metadata(resource, obj, old=None), validate(resource, obj, old=None),
                validate_status(resource, obj, old)
    patch       apply_patch(resource, current, patch, content_type, field_validation="Warn") -> (obj, warnings)
    apply       server-side apply and managed fields: a package with a map of its own
    stored      encode_stored(obj) -> bytes, stamp(stored, revision) -> bytes
    kinds       pod.bind(pod, binding, now)
    scale       to_scale(resource, obj) -> dict, apply_scale(resource, obj, scale) -> dict
    table       to_table(resource, objs, now, include_object, list_meta) -> dict
    discovery   api_versions(), api_group_list(), api_group(group), api_resource_list(group, version),
                aggregated(core_only)
    openapi     openapi_v3_index(), openapi_v3(path), openapi_v2()
    version     version_info()
"""
