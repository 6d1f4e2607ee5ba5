"""Tissue of one phantom: cortex folded anew, and sharp borders where the template is an average.

White matter, grey matter and fluid lie around one another like contour lines, so they are the
levels of one height: white matter + half the grey. Sulci are valleys cut into that height, along
the zeros of a random field on the surface of each hemisphere; cortex then follows them by itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segtrans.data.phantom_anatomy import (
    BOX,
    COARSE,
    HEMISPHERE_GAP,
    TEMPLATE_CENTRE,
    Template,
)
from segtrans.data.phantom_fields import (
    Box,
    Volume,
    band_field,
    shape_of,
    smooth_field,
    smoothstep,
    steepness,
)
