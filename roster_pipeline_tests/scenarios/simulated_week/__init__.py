"""A whole week of ten schools: the daemon, the SIS, the mail server and the calendar that the test turns."""
