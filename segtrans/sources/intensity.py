"""How intensities that networks see are stored."""

from typing import Any

import numpy as np

# Networks see z-scores divided by five, since their outputs are tanh (the authors' code).
Z_SCORE_SCALE = 0.2
# Types whose numbers are stored as they are, each by what is 1.
RANGES: dict[np.dtype[Any], float] = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0}
