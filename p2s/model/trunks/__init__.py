"""Trunks: from an image to the maps of stages "res2" to "res5", of strides 4 to 32."""
