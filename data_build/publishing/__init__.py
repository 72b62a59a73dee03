"""What leaves a build: report, figures, cards, and the data set on the Hub."""
