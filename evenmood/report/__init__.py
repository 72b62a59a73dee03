"""Reports about scored texts: an HTML page and its figures as JSON; see `evenmood.report.write.write_report`."""
