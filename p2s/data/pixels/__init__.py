"""Pixels: what Pillow leaves to be done with those of picture files; see p2s.data.picture."""
