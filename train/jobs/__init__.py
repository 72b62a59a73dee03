"""Training on rented machines, through the Hub."""
