"""The report: figures and a self-contained page for a scan, a study, or all studies."""

from pipeline.report.gallery import GalleryStudy, Times, write_gallery
from pipeline.report.page import Report, write_report
from pipeline.report.study_page import StudiedScan, StudyPage, write_study_report

__all__ = [
    "GalleryStudy",
    "Report",
    "StudiedScan",
    "StudyPage",
    "Times",
    "write_gallery",
    "write_report",
    "write_study_report",
]
