"""The report: figures and a self-contained page for a scan or a study."""

from pipeline.report.page import write_report, write_study_report

__all__ = ["write_report", "write_study_report"]
