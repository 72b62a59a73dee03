"""Reports about scored texts: an HTML page and its statistics as JSON; see `evenmood.report.write.write_report`."""
