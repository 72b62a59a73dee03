"""Publishing: report, figures, data set card, upload to the Hub."""
