"""bleuprint: a reproducible NMT experiment pipeline wrapping fairseq."""

__version__ = "0.1.0"
