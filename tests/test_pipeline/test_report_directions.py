"""The report's table of a section's directions."""

import numpy as np
import pytest
import xarray as xr

from pipeline.report.sections import directions
from schemas.layout import SECTION_GROUP


def scan_of(count):
    names = [f"control_{number}" for number in range(count)]
    cosines = np.eye(count)
    section = xr.Dataset(
        {
            "norm": ("control_point", np.full(count, 2.0)),
            "cosine": (("control_point", "control_point_other"), cosines),
        },
        coords={"control_point": names, "control_point_other": names},
    )
    return xr.DataTree.from_dict({"/": xr.Dataset(), f"/{SECTION_GROUP}": section})


@pytest.mark.parametrize(("count", "beside"), [(1, 0), (3, 3), (24, 24), (25, 0)])
def test_cosines_are_told_where_a_table_can_hold_them(count, beside):
    (table,) = directions(scan_of(count))
    assert len(table.columns) == 1 + beside
    assert [len(line.cells) for line in table.lines] == [1 + beside] * count
