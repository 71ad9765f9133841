"""Draws ``docs/fundus.jpg``: a few eyes of every grade side by side.

``python -m models.retinopathy.contact_sheet docs/fundus.jpg``
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from models.retinopathy.fundus import GRADES, draw

ROWS: Final = 3
FIRST_SEED: Final = 40


def main() -> None:
    """One column per grade, one row per seed."""
    rows = [
        np.concatenate([draw(grade, FIRST_SEED + row).image for grade in range(GRADES)], axis=1)
        for row in range(ROWS)
    ]
    Image.fromarray(np.concatenate(rows)).save(Path(sys.argv[1]), quality=84, optimize=True)


if __name__ == "__main__":
    main()
