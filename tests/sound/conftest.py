import pytest
from small_library import library_dir, prototypes


@pytest.fixture(scope="session")
def slowed():
    """The module of generators that are too slow."""
    import slowed

    return slowed
