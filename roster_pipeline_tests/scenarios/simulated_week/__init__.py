"""A whole week of seven schools: the daemon, the SIS, the mail server and the calendar that the test turns."""
