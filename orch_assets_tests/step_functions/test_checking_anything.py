"""Whatever is wrong with a definition, it is refused as a definition, and nothing else breaks."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orch_assets.step_functions import DefinitionError, check_definition, mermaid
from orch_assets_tests.step_functions.test_bad_definitions import GOOD
from orch_assets_tests.step_functions.test_pieces import EXAMPLES, pipeline

WHOLE = [*GOOD.values(), *(pipeline(*steps).definition() for steps in EXAMPLES.values())]
ANYTHING = st.recursive(
    st.sampled_from([None, True, -1, 0, 5, 1.5, "", "A", "$.a", "{% a %}", "{%", "States.ALL"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["A", "Next", "Type", "States", "a.$"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)


def places(value, path=()):
    """Yield the paths of all parts."""
    yield path
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


@st.composite
def spoilt(draw):
    """Return a good definition with one part replaced, or removed."""
    definition = copy.deepcopy(draw(st.sampled_from(WHOLE)))
    path = draw(st.sampled_from([path for path in places(definition) if path]))
    parent = definition
    for key in path[:-1]:
        parent = parent[key]
    if draw(st.booleans()):
        parent[path[-1]] = draw(ANYTHING)
    else:
        del parent[path[-1]]
    return definition


@settings(max_examples=800, deadline=None)
@given(definition=spoilt())
def test_a_spoilt_definition_is_refused_as_one_or_can_be_drawn(definition):
    try:
        check_definition(definition)
    except DefinitionError as error:
        assert str(error).endswith(".")  # noqa: PT017 - whichever it is
    else:
        assert mermaid(definition).startswith("stateDiagram-v2")


@pytest.mark.parametrize("definition", WHOLE)
def test_what_is_not_spoilt_passes(definition):
    check_definition(definition)
