"""Statistics of a scan, by xarray and Dask: fidelity, transfer, proximity, over replicates.

Chunk by chunk and lazily; nothing here knows how the numbers were made.
"""

from pipeline.analysis.confidence import over_replicates
from pipeline.analysis.gather import statistics
from pipeline.analysis.table import Row, rows

__all__ = ["Row", "over_replicates", "rows", "statistics"]
