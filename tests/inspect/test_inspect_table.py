"""A table shows itself as text and in a notebook."""

from maskrcnn_jax.inspect import Table

SEEN = Table(("thing", "n", "share"), [("a <b>", 7, 0.5), ("longer", 12, None)], "Things seen")


def test_as_text():
    # The widest of each column decides: "longer", "12", "share". Numbers stand to the right.
    assert str(SEEN).splitlines() == [
        "Things seen",
        "thing    n  share",
        "a <b>    7    0.5",
        "longer  12      –",
    ]
    assert str(Table(("thing", "n"), [])) == "thing  n"


def test_in_a_notebook():
    html = SEEN._repr_html_()
    for cell in (
        '<td style="text-align: left">a &lt;b&gt;</td>',
        '<td class="number">12</td>',
        '<td class="number">–</td>',
        "Things seen",
    ):
        assert cell in html
    assert html.count("<tr>") == 3


def test_long_tables_are_open_in_a_notebook():
    html = Table(("n",), [(n,) for n in range(31)], "Many")._repr_html_()
    assert "<details open>" in html and html.count("<td") == 31
