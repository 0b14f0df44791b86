from maskrcnn_jax.data.prepare.coco.categories import classes
from maskrcnn_jax.data.prepare.coco.types import RawCategory
from maskrcnn_jax.data.prepare.problems import Problems

FRUIT = [RawCategory(0, "fruit", "none"), RawCategory(1, "apple", "fruit"), RawCategory(2, "pear", "fruit")]


def chosen(categories, used):
    problems, warnings = Problems("F"), Problems("F")
    kept = classes(categories, used, problems, warnings)
    return [category.category_id for category in kept], problems.offenders, warnings.offenders


def test_unused_categories_are_classes_in_the_order_of_their_ids():
    assert chosen([RawCategory(7, "dog", None), RawCategory(3, "cat", "animal")], set()) == ([3, 7], {}, {})


def test_a_category_that_only_groups_the_others_is_left_out():
    left_out = {"left out a category without objects that only groups the others": ["fruit (id 0)"]}
    assert chosen(FRUIT, {1, 2}) == ([1, 2], {}, left_out)
    # Whether the split has objects does not matter, so that splits have the same classes.
    assert chosen(FRUIT, set()) == ([1, 2], {}, left_out)
    assert chosen(FRUIT, {0, 1}) == ([0, 1, 2], {}, {})


def test_a_category_in_a_group_of_its_own_name_is_a_class():
    people = [RawCategory(1, "person", "person"), RawCategory(2, "child", "person")]
    assert chosen(people, {2}) == ([1, 2], {}, {})
    assert chosen([RawCategory(1, "person", "none")], set()) == ([1], {}, {})
    mixed = [*FRUIT, RawCategory(3, "leek", "vegetable")]
    assert chosen(mixed, {1, 2, 3}) == ([0, 1, 2, 3], {}, {})


def test_an_unused_category_that_repeats_a_name_is_left_out():
    twice = [RawCategory(0, "apple", "none"), RawCategory(1, "apple", "apple"), RawCategory(2, "pear", "apple")]
    twice.append(RawCategory(3, "plum", "plums"))
    named = {"left out a category without objects that repeats the name of another": ["apple (id 0)"]}
    assert chosen(twice, {1, 2}) == ([1, 2, 3], {}, named)
    assert chosen(twice, set()) == ([1, 2, 3], {}, named)
    ids, problems, _ = chosen(twice, {0})
    assert ids == [0, 2, 3] and not problems


def test_two_used_categories_of_one_name_are_a_problem():
    twice = [RawCategory(0, "apple", None), RawCategory(1, "apple", None)]
    _, problems, _ = chosen(twice, {0, 1})
    assert problems == {"two categories have the same name; give each its own": ["apple"]}


def test_two_categories_of_one_id_are_a_problem():
    _, problems, _ = chosen([RawCategory(1, "apple", None), RawCategory(1, "pear", None)], {1})
    assert problems == {"two categories have the same id; give each its own": ["id 1"]}
    # With equal names, too, which leaves only the groups to tell them apart.
    _, problems, _ = chosen([RawCategory(1, "apple", None), RawCategory(1, "apple", "x")], set())
    assert "two categories have the same id; give each its own" in problems
