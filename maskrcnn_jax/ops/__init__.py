"""Pure functions on the boxes, masks and features of one image: no parameters, no batch, no mesh."""
