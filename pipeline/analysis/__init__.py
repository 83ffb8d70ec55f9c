"""Statistics of a scan, by xarray and Dask: fidelity, transfer, proximity, shape, over replicates.

Chunk by chunk and lazily; nothing here knows how the numbers were made.
"""

from pipeline.analysis.confidence import over_replicates
from pipeline.analysis.gather import Analysis, analysed, statistics
from pipeline.analysis.table import Row, rows

__all__ = ["Analysis", "Row", "analysed", "over_replicates", "rows", "statistics"]
