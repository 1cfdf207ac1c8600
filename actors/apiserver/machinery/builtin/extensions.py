"""Definitions of custom resources."""

from actors.apiserver.extensions.definition import definition_resource

API_EXTENSIONS = (definition_resource(),)
