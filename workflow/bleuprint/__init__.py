"""bleuprint: a reproducible NMT experiment pipeline wrapping fairseq."""

import os

__version__ = "0.1.0"

# libgomp's threads spin while they wait for each other, which beside other work makes a training ten times slower.
# It is set here, before torch or ctranslate2 load libgomp, so that every command, and all that it starts, has it.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
