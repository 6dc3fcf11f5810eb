"""bleuprint: a reproducible NMT experiment pipeline wrapping fairseq."""

import os

__version__ = "0.1.0"

# libgomp's threads wait for each other by spinning, which beside other work makes a training ten times slower. Set here,
# before torch or ctranslate2 load libgomp, so that every command of bleuprint's and all that it starts has it
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
