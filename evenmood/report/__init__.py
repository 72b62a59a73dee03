"""Reports about scored texts: one HTML page, and its figures; see `evenmood.report.write.write_report`."""
