"""What trainings will cost, in time and memory."""
