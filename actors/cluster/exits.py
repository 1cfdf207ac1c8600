"""What the exit status of `kubus` means; `kubus --help` prints this."""

OK = 0
FAILURE = 1  # it did not work; the message says why
USAGE = 2  # a wrong option or argument (click's own number)
NOT_RUNNING = 3  # no Kubus runs on this data directory
IN_USE = 4  # another Kubus runs on this data directory
BAD_CONFIG = 5  # the config has an error; the message names file, line and key
NOT_READY = 6  # Kubus runs, but did not become ready in time
INTERRUPTED = 130  # Ctrl-C before the work was done, as shells have it

TEXT = """Exit status: 0 done; 1 failed, the message says why; 2 wrong usage; 3 no Kubus runs on this data directory;
4 another Kubus runs on it; 5 the config has an error; 6 the cluster did not become ready in time."""
