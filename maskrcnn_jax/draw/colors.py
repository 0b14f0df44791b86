"""Colours of what is drawn: as many as are needed, to be told apart by colour-blind people too."""

Color = tuple[int, int, int]
"""RGB, 0 to 255."""

PALETTE = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
"""RGB, to be told apart by colour-blind people too (Okabe and Ito 2008)."""

REACH = 0.8
"""How far the darkest shades lie from their colour toward black, and the palest toward white: with this, the first 21
colours differ most to people who see no red or no green."""


def distinct_color(place: int) -> Color:
    """The colour at a place in a row that does not repeat: the palette, then each of its colours darker and paler.

    Shades follow the sequence of van der Corput: each lies in the middle of a gap that those before it have left.

    Args:
        place: From 0; the first 255 colours all differ, and after them the steps are finer than anyone sees.
    """
    turn, hue = divmod(place, len(PALETTE))
    digits = f"{turn + 1:b}"
    shade = 2 * REACH * (int(digits[::-1], 2) / 2 ** len(digits) - 0.5)
    toward = 0 if shade < 0 else 255
    red, green, blue = (round(channel + (toward - channel) * abs(shade)) for channel in PALETTE[hue])
    return red, green, blue


def contrast(color: Color) -> Color:
    """Black or white, whichever stands out more from a colour: for words on it, and for lines around it."""
    red, green, blue = color
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else (255, 255, 255)
