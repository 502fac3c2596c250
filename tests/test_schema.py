from __future__ import annotations

import json

import pytest

from reid_edge._schema import Reader
from reid_edge.errors import BundleSchemaError


def reader(**values):
    return Reader(values, "file")


def test_right_values_come_back():
    read = reader(
        text="words", choice="b", sha="0f" * 32, truth=False, whole=7, share=1, many=[1, 2.5]
    )
    assert read.text("text") == "words"
    assert read.choice("choice", ("a", "b")) == "b"
    assert read.sha256("sha") == "0f" * 32
    assert read.boolean("truth") is False
    assert read.integer("whole", 7, 7) == 7
    assert (read.number("share"), type(read.number("share"))) == (1.0, float)
    assert read.numbers("many", 2) == [1.0, 2.5]
    assert read.items("many") == [1, 2.5]


def test_sections_say_where_they_stand():
    read = reader(outer={"inner": {"x": 1}})
    ((name, inner),) = read.sections("outer")
    assert (name, inner.integer("x", 0, 9)) == ("inner", 1)
    with pytest.raises(BundleSchemaError, match=r"^file: outer\.inner: the field 'y' is missing$"):
        inner.text("y")
    with pytest.raises(BundleSchemaError, match=r"^file: outer: the field 'y' is missing$"):
        read.section("outer").text("y")


@pytest.mark.parametrize("value", [None, [], "x", 5, True])
def test_what_is_no_object_is_refused(value):
    with pytest.raises(BundleSchemaError, match="file: expected an object, found"):
        Reader(value, "file")
    with pytest.raises(BundleSchemaError, match="file: part: expected an object, found"):
        reader(part=value).section("part")
    with pytest.raises(BundleSchemaError, match=r"file: part\.x: expected an object, found"):
        dict(reader(part={"x": value}).sections("part"))


WRONG = {
    "text": [None, "", 5, [], {}, "x" * 2001],
    "sha256": [None, "", "0F" * 32, "0f" * 31, "0f" * 33, "0f" * 32 + "\n", 5],
    "boolean": [None, 0, 1, "true", []],
    "items": [None, [], {}, "ab", 5],
    "number": [None, True, "1", float("nan"), float("inf"), 1e31, 10**4000, []],
}


@pytest.mark.parametrize(
    ("method", "value"), [(method, value) for method in WRONG for value in WRONG[method]]
)
def test_a_wrong_value_is_refused_with_the_name_of_its_field(method, value):
    with pytest.raises(BundleSchemaError, match=r"^file: field: expected .*, found ") as raised:
        getattr(reader(field=value), method)("field")
    assert len(str(raised.value)) < 200


@pytest.mark.parametrize("value", [None, True, 1.0, 0, 10, "5", 10**4000])
def test_whole_numbers_are_held_to_their_range(value):
    with pytest.raises(BundleSchemaError, match=r"a whole number in 1\.\.\.9"):
        reader(field=value).integer("field", 1, 9)


@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_numbers_are_held_to_their_range(value):
    with pytest.raises(BundleSchemaError, match=r"a finite number in 0\.\.\.1"):
        reader(field=value).number("field", 0, 1)


@pytest.mark.parametrize("value", [None, [1], [1, 2, 3], [1, "2"], [1, True], [1, float("nan")]])
def test_lists_are_held_to_their_length_and_kind(value):
    with pytest.raises(BundleSchemaError, match="a list of 2 finite numbers"):
        reader(field=value).numbers("field", 2)


@pytest.mark.parametrize("value", ["c", None, ["a"], 1])
def test_choices_are_listed(value):
    with pytest.raises(BundleSchemaError, match="expected 'a' or 'b', found"):
        reader(field=value).choice("field", ("a", "b"))


@pytest.mark.parametrize("method", ["text", "sha256", "boolean", "number", "items", "section"])
def test_a_missing_field_is_named(method):
    with pytest.raises(BundleSchemaError, match=r"^file: the field 'field' is missing$"):
        getattr(reader(), method)("field")


def test_the_numbers_that_json_adds_to_the_standard_are_refused():
    for text in ("NaN", "Infinity", "-Infinity", "1e999"):
        with pytest.raises(BundleSchemaError):
            Reader(json.loads(f'{{"x": {text}}}'), "file").number("x")
