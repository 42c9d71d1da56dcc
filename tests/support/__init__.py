"""What tests share: stand-ins for data sets, small trainings, two processes, and checks of messages and shapes."""
