"""Every command of every README is run as it is written, or `test_all.NOT_RUN` names it with a reason."""
