import pytest

from actors.apiserver.machinery import schema


@pytest.fixture(autouse=True, scope="session")
def schema_cache(tmp_path_factory):
    """Compile the schemas once for all tests."""
    schema.use_cache(tmp_path_factory.mktemp("schemas"))
