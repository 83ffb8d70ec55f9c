"""The report: figures and a self-contained page for a scan or a study."""

from pipeline.report.page import Report, write_report
from pipeline.report.study_page import StudiedScan, StudyPage, write_study_report

__all__ = ["Report", "StudiedScan", "StudyPage", "write_report", "write_study_report"]
