"""A whole week of seven schools: daemon, SISs, mail server, and a calendar under the control of the test."""
