"""The two ways a command can fail on purpose."""


class UsageError(ValueError):
    """What was asked cannot be done: one sentence with what was given, what is allowed, what to type (exit code 2)."""


class GenerationError(RuntimeError):
    """What was asked is valid but did not work out: one sentence with the reason (exit code 1)."""
