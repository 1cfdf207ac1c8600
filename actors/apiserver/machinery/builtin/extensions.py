"""Definitions of custom resources, and of API servers behind this one."""

from actors.apiserver.extensions.api_service import api_service_resource
from actors.apiserver.extensions.definition import definition_resource

API_EXTENSIONS = (definition_resource(),)
API_REGISTRATION = (api_service_resource(),)
