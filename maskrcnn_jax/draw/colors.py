"""Colours of drawings: any number of distinct ones, also for colour-blind readers."""

Color = tuple[int, int, int]
"""RGB, 0 to 255."""

PALETTE = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
"""RGB, distinct for colour-blind readers too (Okabe and Ito 2008)."""

REACH = 0.8
"""How far the darkest shades are from their colour towards black, and the lightest towards white: chosen so that the
first 21 colours differ most for readers who see no red or no green."""


def distinct_color(index: int) -> Color:
    """The colour with an index in a sequence without repetition: the palette, then darker and lighter shades of it.

    Shades follow the van der Corput sequence: each is in the middle of a gap between earlier ones.

    Args:
        index: From 0; the first 255 colours all differ, later ones differ too little to be seen.
    """
    turn, hue = divmod(index, len(PALETTE))
    digits = f"{turn + 1:b}"
    shade = 2 * REACH * (int(digits[::-1], 2) / 2 ** len(digits) - 0.5)
    toward = 0 if shade < 0 else 255
    red, green, blue = (round(channel + (toward - channel) * abs(shade)) for channel in PALETTE[hue])
    return red, green, blue


def contrast(color: Color) -> Color:
    """Black or white, the one with more contrast to a colour: for text on it and lines around it."""
    red, green, blue = color
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else (255, 255, 255)
