"""The names of COCO's classes, in the orders that weights have."""

_SLOTS = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, -, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, -, backpack, umbrella, -, -,
handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
surfboard, tennis racket, bottle, -, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, -, dining table, -, -, toilet, -, tv,
laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, -, book, clock, vase,
scissors, teddy bear, hair drier, toothbrush
"""

_NAMES = [name.strip() for name in _SLOTS.split(",")]

COCO_80 = tuple(name for name in _NAMES if name != "-")
"""The classes that have objects, by category id."""

COCO_90 = tuple(f"N/A {i}" if name == "-" else name for i, name in enumerate(_NAMES, 1))
"""One slot per category id from 1 to 90 (torchvision, TensorFlow); ten ids never had objects."""
