"""The one exception for what a user can mend."""


class UserError(Exception):
    """A user's mistake: the message names the setting, its value and the remedy.

    The command line prints the message alone and exits with status 2; library callers see an
    ordinary exception. Anything else that escapes is a defect of chiasm and keeps its traceback.
    """
