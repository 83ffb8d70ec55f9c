"""A zoo of small models, each with data, a loss and a section: what an evaluator must get right."""

from tests.models import layers, networks, sections
from tests.models.zoo import CASES, Case, scaled_section, unsettled

__all__ = ["CASES", "Case", "layers", "networks", "scaled_section", "sections", "unsettled"]
